// Package lint holds the rules that a distribution's own files must keep.
//
// Read gathers the files of a checkout; the caller adds what only an evaluation
// or a build can tell; Check applies every rule:
//
//	in, err := lint.Read(os.DirFS(root), "distro/asternixos")
//	in.Set = set                       // of package distro/nix
//	for _, f := range lint.Check(in) { fmt.Println(f) }
//
// A rule whose material is missing says so in Skipped instead of passing.
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/distro"
)

// Input is what the rules look at.
type Input struct {
	// Dir is the distribution's folder, relative to the root, slash separated.
	Dir string
	// Files are the text files of the checkout by path relative to the root:
	// those below Dir, and those that may repeat a pin.
	Files map[string]string
	// Set is what the entry evaluates to with import-from-derivation
	// disabled; nil where nothing was evaluated.
	Set *distro.Set
	// Closure are the files of the installed system's closure, as store paths;
	// nil where it was not built.
	Closure []string
	// Size and LastSize are the bytes of the image's closure, now and at the last
	// release; zero where unknown.
	Size, LastSize int64
}

// Finding is a rule that is broken at a place.
type Finding struct {
	Rule string `json:"rule"`
	// File is relative to the root; Line starts at 1, zero where there is none.
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

func (f Finding) String() string {
	switch {
	case f.File == "":
		return fmt.Sprintf("%s: %s", f.Rule, f.Message)
	case f.Line == 0:
		return fmt.Sprintf("%s: %s: %s", f.File, f.Rule, f.Message)
	default:
		return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Message)
	}
}

// Rule is one thing that must hold.
type Rule struct {
	Name string
	// Claim says in a sentence what holds when nothing is found.
	Claim string
	// needs says why the rule cannot look, or "".
	needs func(Input) string
	check func(Input) []Finding
}

// Rules are all rules.
var Rules = []Rule{
	overlayPackages,
	patchesUsed,
	reasons,
	pins,
	closureSize,
	noModules,
	noImportFromDerivation,
}

// Result is what one rule found. It passes if Skipped is empty and there are no findings.
type Result struct {
	Rule     Rule
	Skipped  string
	Findings []Finding
}

// Run applies every rule.
func Run(in Input) []Result {
	out := make([]Result, 0, len(Rules))
	for _, r := range Rules {
		res := Result{Rule: r}
		if r.needs != nil {
			res.Skipped = r.needs(in)
		}
		if res.Skipped == "" {
			res.Findings = r.check(in)
			for i := range res.Findings {
				res.Findings[i].Rule = r.Name
			}
			slices.SortFunc(res.Findings, func(a, b Finding) int {
				return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
			})
		}
		out = append(out, res)
	}
	return out
}

// Check returns the findings of every rule that could look.
func Check(in Input) []Finding {
	var out []Finding
	for _, r := range Run(in) {
		out = append(out, r.Findings...)
	}
	return out
}

// maxFile bounds what is read of one file: rules look at text that people wrote.
const maxFile = 1 << 20

// Read gathers the files that rules look at: those below dir, and beside it
// what may repeat the pin: workflows, container files, the configuration.
func Read(root fs.FS, dir string) (Input, error) {
	in := Input{Dir: path.Clean(dir), Files: map[string]string{}}
	add := func(name string) error {
		info, err := fs.Stat(root, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if !strings.ContainsRune(string(data), 0) {
			in.Files[name] = string(data)
		}
		return nil
	}
	for _, top := range []string{in.Dir, ".github"} {
		err := fs.WalkDir(root, top, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == top && top != in.Dir {
				return fs.SkipAll
			}
			// A link may lead anywhere, and what it leads to is read where it is.
			if err != nil || d.IsDir() || d.Type()&fs.ModeSymlink != 0 {
				return err
			}
			return add(name)
		})
		if err != nil {
			return Input{}, fmt.Errorf("read the distribution: %w", err)
		}
	}
	for _, name := range []string{"Dockerfile", "flake.lock", "flake.nix"} {
		if err := add(name); err != nil {
			return Input{}, err
		}
	}
	return in, nil
}

// lines calls f with each line of text and its number.
func lines(text string, f func(n int, line string)) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		f(n, strings.TrimRight(line, "\n"))
	}
}
