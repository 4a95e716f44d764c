// Package doctor knows what asterbot needs of a machine: what is there, what is missing, and how to get it.
//
// One list, needs.tsv, is read here and by setup.sh, which installs what is missing:
//
//	tools := doctor.Examine(ctx)
//	err := doctor.Install(ctx, cache, os.Stderr)
//
// Both are part of the program, so that they work without the checkout.
package doctor

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
)

//go:embed setup.sh needs.tsv store.tsv sources.tsv
var files embed.FS

// Need is one program or file that asterbot uses.
type Need struct {
	// Package is Debian's name for what brings it.
	Package string `json:"package"`
	// Probe is the program's name, or an absolute path that may be a glob.
	Probe string `json:"name"`
	// For says which job misses it: nix, qemu, image, report, or test for 'make test' alone.
	For string `json:"for"`
	// version is the command line that prints the version; empty if there is none.
	version []string
	// What is what it is used for.
	What string `json:"what"`
}

// Tool is a Need and what this machine has of it.
type Tool struct {
	Need
	// Path is where it was found; empty means missing.
	Path string `json:"path,omitempty"`
	// Version is the line with a version number of what it says of itself.
	Version string `json:"version,omitempty"`
	// Get is how to get it, where it is missing.
	Get string `json:"get,omitempty"`
}

// Missing reports whether asterbot's own work, not only its tests, lacks the tool.
func (t Tool) Missing() bool { return t.Path == "" && t.For != "test" }

// Needs returns the list, in order.
func Needs() []Need {
	data, err := files.ReadFile("needs.tsv")
	if err != nil {
		panic(err) // part of the program
	}
	var needs []Need
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n := Need{Package: f[0], Probe: f[1], For: f[2], What: f[4]}
		if f[3] != "-" {
			n.version = strings.Fields(f[3])
		}
		needs = append(needs, n)
	}
	return needs
}

// versionDeadline bounds a tool that, asked for its version, does something else.
const versionDeadline = 10 * time.Second

// Examine looks for everything asterbot needs. A tool that does not say its version has none.
func Examine(ctx context.Context) []Tool {
	needs := Needs()
	tools := make([]Tool, len(needs))
	var wg sync.WaitGroup
	for i, n := range needs {
		wg.Go(func() {
			t := Tool{Need: n, Path: find(n.Probe)}
			if t.Path == "" {
				t.Get = "apt-get install " + n.Package
			} else if n.version != nil {
				t.Version = version(ctx, n.version)
			}
			tools[i] = t
		})
	}
	wg.Wait()
	return tools
}

// find returns where a probe is found, or nothing. Debian keeps some programs out of users' PATH.
func find(probe string) string {
	if filepath.IsAbs(probe) {
		matches, err := filepath.Glob(probe)
		if err != nil || len(matches) == 0 {
			return ""
		}
		return matches[0]
	}
	for _, candidate := range []string{probe, "/usr/sbin/" + probe, "/sbin/" + probe} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

func version(ctx context.Context, command []string) string {
	ctx, cancel := context.WithTimeout(ctx, versionDeadline)
	defer cancel()
	var out strings.Builder
	cmd := &proc.Cmd{Path: find(command[0]), Args: command[1:], Stdout: &out, Stderr: &out}
	_ = cmd.Run(ctx) // mke2fs -V and others print their version and exit with a failure
	for line := range strings.Lines(out.String()) {
		// Wrappers such as Chromium's print warnings first.
		if line = strings.TrimSpace(line); versionNumber.MatchString(line) {
			return line
		}
	}
	return ""
}

var versionNumber = regexp.MustCompile(`\d+\.\d+`)

// Install runs the set-up: it installs what is missing, unpacks a kernel and imports tinypkgs' inputs into the cache
// and the Nix store. It is quick where nothing is missing. Progress goes to stderr.
func Install(ctx context.Context, cache string, stderr io.Writer) error {
	return setUp(ctx, cache, stderr)
}

// Ready returns nil where the set-up has nothing to do, else what is missing.
func Ready(ctx context.Context, cache string) error {
	return setUp(ctx, cache, io.Discard, "--check")
}

func setUp(ctx context.Context, cache string, stderr io.Writer, args ...string) error {
	dir, err := os.MkdirTemp("", "asterbot-setup-")
	if err != nil {
		return fmt.Errorf("run the set-up: %w", err)
	}
	defer os.RemoveAll(dir)
	names, err := fs.Glob(files, "*")
	if err != nil {
		return fmt.Errorf("run the set-up: %w", err)
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("run the set-up: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			return fmt.Errorf("run the set-up: %w", err)
		}
	}
	// The whole environment: proxies and what sudo needs are the user's.
	cmd := &proc.Cmd{
		Path: "bash", Args: append([]string{filepath.Join(dir, "setup.sh")}, args...),
		Env: append(os.Environ(), "ASTERBOT_CACHE="+cache), Stdin: os.Stdin, Stdout: stderr, Stderr: stderr,
	}
	if err := cmd.Run(ctx); err != nil {
		return fmt.Errorf("run the set-up: %w", err)
	}
	return nil
}
