package drift

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/internal/proc"
)

//go:embed drift.nix
var expression []byte

// Check is a check to be run.
type Check struct {
	// Overlays is the folder whose default.nix is the list of overlays.
	Overlays string
	// Root is what files are named relative to; empty names them absolutely.
	Root string
	// Nixpkgs is the folder of the package set, or a commit of nixpkgs.
	Nixpkgs string
	// System is the platform; empty is x86_64-linux.
	System string
	// Sources are folders or archives to take instead of fetching a package's
	// source, by package name.
	Sources map[string]string
	// Options are further arguments of Nix.
	Options []string
}

// Args are the arguments of nix-instantiate for one question.
func (c Check) Args(file, attribute string, path, from []string) []string {
	args := []string{"--eval", "--strict", "--json", "--read-write-mode", file, "-A", attribute,
		"--arg", "overlays", c.Overlays, "--arg", "nixpkgs", c.set(), "--argstr", "system", cmp.Or(c.System, "x86_64-linux")}
	if path != nil {
		args = append(args, "--arg", "path", nixList(path), "--arg", "from", nixList(from))
	}
	return append(args, c.Options...)
}

func nixList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		b, _ := json.Marshal(w) // a string always can be
		quoted[i] = strings.ReplaceAll(string(b), "${", `\${`)
	}
	return "[ " + strings.Join(quoted, " ") + " ]"
}

// set is the package set as a Nix expression.
func (c Check) set() string {
	if isRevision(c.Nixpkgs) {
		return `(builtins.fetchTarball "https://github.com/NixOS/nixpkgs/archive/` + c.Nixpkgs + `.tar.gz")`
	}
	return c.Nixpkgs
}

// isRevision reports whether s is a commit, a branch or a tag rather than a folder.
func isRevision(s string) bool {
	return revision.MatchString(s)
}

var revision = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Run looks at every package of the overlays. An error means that the overlays
// could not even be listed.
func (c Check) Run(ctx context.Context) (Report, error) {
	report := Report{Schema: Schema, Nixpkgs: c.Nixpkgs}
	tmp, err := os.MkdirTemp("", "asterbot-drift-")
	if err != nil {
		return report, fmt.Errorf("make a temporary folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "drift.nix")
	if err := os.WriteFile(file, expression, 0o644); err != nil {
		return report, fmt.Errorf("write the expression: %w", err)
	}

	var list []struct {
		Overlay, Package, File string
		Line                   int
		Path, From             []string
	}
	if err := c.ask(ctx, file, "list", nil, nil, &list); err != nil {
		return report, fmt.Errorf("list the overlays of %s: %w", c.Overlays, err)
	}
	for i, l := range list {
		p := Package{Overlay: l.Overlay, Name: l.Package, File: c.relative(l.File), Line: l.Line}
		var answer struct{ Plain, Ours *described }
		if err := c.ask(ctx, file, "package", l.Path, l.From, &answer); err != nil {
			if ctx.Err() != nil {
				return report, ctx.Err()
			}
			p.Status, p.Reason = Unknown, "it does not evaluate: "+lastLine(err)
		} else {
			if answer.Plain != nil && answer.Ours != nil && answer.Plain.Drv != answer.Ours.Drv {
				dir := filepath.Join(tmp, fmt.Sprint(i))
				if p.Patches, err = c.patches(ctx, dir, l.Package, *answer.Plain, *answer.Ours); err != nil {
					return report, err
				}
			}
			judge(&p, answer.Plain, answer.Ours)
		}
		report.Packages = append(report.Packages, p)
	}
	return report, nil
}

func (c Check) relative(file string) string {
	if c.Root == "" {
		return file
	}
	if rel, err := filepath.Rel(c.Root, file); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return file
}

func (c Check) ask(ctx context.Context, file, attribute string, path, from []string, into any) error {
	out, err := run(ctx, "", nil, "nix-instantiate", c.Args(file, attribute, path, from)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("read Nix's answer: %w", err)
	}
	return nil
}

// patches tries the patches that the overlay adds, on the package set's source
// with its own patches.
func (c Check) patches(ctx context.Context, dir, name string, theirs, ours described) ([]Patch, error) {
	had := map[string]bool{}
	for _, p := range theirs.Patches {
		// By name, too: one that is made by a derivation has another path as soon as what it names has.
		had[p.Path], had[patchName(p.Path)] = true, true
	}
	var added []string
	for _, p := range ours.Patches {
		if !had[p.Path] && !had[patchName(p.Path)] {
			added = append(added, p.Path)
		}
	}
	if len(added) == 0 {
		return nil, nil
	}
	untried := func(err error) ([]Patch, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var out []Patch
		for _, p := range added {
			out = append(out, Patch{File: patchName(p), Status: Untried, Detail: "the source could not be had: " + lastLine(err)})
		}
		return out, nil
	}
	if err := c.unpack(ctx, dir, name, theirs); err != nil {
		return untried(err)
	}
	for _, p := range theirs.Patches {
		if p.Drv != "" {
			if _, err := run(ctx, "", nil, "nix-store", append([]string{"--realise", p.Drv}, c.Options...)...); err != nil {
				return untried(err)
			}
		}
		if _, err := apply(ctx, dir, p.Path); err != nil {
			return untried(fmt.Errorf("the package set's own patch %s does not apply to it: %w", patchName(p.Path), err))
		}
	}
	var out []Patch
	for _, path := range added {
		p, err := try(ctx, dir, path)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// try applies a patch and says how that went.
func try(ctx context.Context, dir, path string) (Patch, error) {
	p := Patch{File: patchName(path)}
	said, err := apply(ctx, dir, path, "--dry-run")
	if ctx.Err() != nil {
		return p, ctx.Err()
	}
	if err == nil {
		p.Status = Applies
		if strings.Contains(said, "offset") || strings.Contains(said, "fuzz") {
			p.Status, p.Detail = Shifted, firstHunk(said)
		}
		// The next patch of the overlay may be made for a source that has this one.
		_, err = apply(ctx, dir, path)
		return p, err
	}
	if _, reversed := apply(ctx, dir, path, "--dry-run", "--reverse"); reversed == nil {
		p.Status = Upstream
		return p, nil
	}
	p.Status, p.Detail = Fails, firstHunk(said)
	return p, ctx.Err()
}

// apply runs patch. What it said is returned also where it failed.
func apply(ctx context.Context, dir, path string, more ...string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read patch: %w", err)
	}
	defer file.Close()
	out, err := run(ctx, dir, file, "patch", append([]string{"-p1", "--batch", "--forward", "--no-backup-if-mismatch", "--reject-file=-"}, more...)...)
	return string(out), err
}

// unpack makes dir the package's source.
func (c Check) unpack(ctx context.Context, dir, name string, p described) error {
	src := c.Sources[name]
	if src == "" {
		if p.Src == "" {
			return fmt.Errorf("%s has no src", name)
		}
		src = p.Src
		if p.SrcDrv != "" {
			if _, err := run(ctx, "", nil, "nix-store", append([]string{"--realise", p.SrcDrv}, c.Options...)...); err != nil {
				return err
			}
		}
	}
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		_, err = run(ctx, "", nil, "cp", "-r", "--no-preserve=mode,ownership", src+"/.", dir)
	} else {
		_, err = run(ctx, "", nil, "tar", "-xf", src, "-C", dir, "--strip-components=1", "--no-same-owner")
	}
	return err
}

func run(ctx context.Context, dir string, stdin io.Reader, program string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	cmd := &proc.Cmd{Path: program, Args: args, Env: os.Environ(), Dir: dir, Stdin: stdin, Stdout: &out}
	err := cmd.Run(ctx)
	return out.Bytes(), err
}

// patchName is a patch's name without its hash.
func patchName(path string) string {
	name := filepath.Base(path)
	if _, rest, ok := strings.Cut(name, "-"); ok && strings.Contains(path, "/store/") && len(name)-len(rest) == 33 {
		return rest
	}
	return name
}

// firstHunk is the first line that patch said of a hunk.
func firstHunk(said string) string {
	all := strings.Split(said, "\n")
	if i := slices.IndexFunc(all, func(l string) bool { return strings.Contains(l, "Hunk") || strings.Contains(l, "can't find") }); i >= 0 {
		return strings.TrimSpace(all[i])
	}
	return strings.TrimSpace(all[0])
}

// lastLine is the end of an error's text: with Nix, the reason.
func lastLine(err error) string {
	all := strings.Split(strings.TrimSpace(err.Error()), "\n")
	for _, line := range slices.Backward(all) {
		if i := strings.Index(line, "error: "); i >= 0 {
			return line[i+len("error: "):]
		}
	}
	return all[len(all)-1]
}
