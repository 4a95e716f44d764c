// Package nix drives Nix: it evaluates an entry to a distro.Set, and builds.
//
//	n := &nix.Nix{}
//	side, err := n.Evaluate(ctx, nix.Evaluation{Root: tree, Entry: "distro/default.nix"})
//	err = n.Realise(ctx, nix.Build{...}, func(nix.Built) {...})
//
// Every evaluation is restricted to the folders it was given, with an empty
// environment, no network, nothing built, and bounds on time, memory and output. An
// attribute that throws, aborts, recurses for ever or exhausts its bounds is
// a Failure of that attribute alone. An evaluation for comparison writes nothing
// to any store.
//
// Nix 2.8 to 2.3x: the version is asked once.
package nix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/asterinas/asterbot/internal/proc"
)

// Nix is the Nix that is installed on this machine. The zero value is the one in
// PATH, with its own store.
type Nix struct {
	// Dir is the folder of Nix's programs; empty means PATH.
	Dir string
	// Env holds further variables for Nix itself, NIX_STORE_DIR for example.
	// Nothing else of this process's environment reaches Nix but PATH.
	Env []string
	// Options are settings for builds, "name=value", that go before every
	// other.
	Options []string

	once     sync.Once
	version  Version
	storeDir string
	err      error
}

// Version is Nix's version.
type Version struct{ Major, Minor, Patch int }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

var versionText = regexp.MustCompile(`\(.*\) (\d+)\.(\d+)(?:\.(\d+))?`)

// ParseVersion reads what `nix-instantiate --version` prints.
func ParseVersion(text string) (Version, error) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("read Nix's version: %.100q is none", text)
	}
	var v Version
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if m[i+1] != "" {
			n, err := strconv.Atoi(m[i+1])
			if err != nil {
				return Version{}, fmt.Errorf("read Nix's version: %w", err)
			}
			*into = n
		}
	}
	return v, nil
}

// oldest is the first Nix that has what is needed here.
var oldest = Version{2, 4, 0}

// A NotInstalledError says that there is no usable Nix.
type NotInstalledError struct{ Err error }

func (e *NotInstalledError) Error() string {
	return fmt.Sprintf("Nix cannot be used: %v; install it (on Debian: apt-get install nix-bin)", e.Err)
}

func (e *NotInstalledError) Unwrap() error { return e.Err }

// Version asks Nix's version, once.
func (n *Nix) Version(ctx context.Context) (Version, error) {
	n.once.Do(func() {
		cmd := &proc.Cmd{Path: n.program("nix-instantiate"), Args: []string{"--version"}, Env: n.env(os.TempDir())}
		out, err := cmd.Output(context.WithoutCancel(ctx))
		if err != nil {
			n.err = &NotInstalledError{err}
			return
		}
		if n.version, n.err = ParseVersion(string(out)); n.err == nil && n.version.Less(oldest) {
			n.err = &NotInstalledError{fmt.Errorf("version %s is too old, %s is needed", n.version, oldest)}
		}
		n.storeDir = "/nix/store"
		for _, kv := range n.Env {
			if dir, ok := strings.CutPrefix(kv, "NIX_STORE_DIR="); ok {
				n.storeDir = dir
			}
		}
	})
	return n.version, n.err
}

// StoreDir is the folder of store paths.
func (n *Nix) StoreDir(ctx context.Context) (string, error) {
	_, err := n.Version(ctx)
	return n.storeDir, err
}

func (n *Nix) program(name string) string {
	if n.Dir == "" {
		return name
	}
	return filepath.Join(n.Dir, name)
}

// env is the environment of every Nix process. home is a folder of its own: Nix
// keeps caches there, and users keep settings there.
func (n *Nix) env(home string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_CONFIG_HOME=" + home,
		"NIX_USER_CONF_FILES=" + os.DevNull, "LC_ALL=C", "TZ=UTC", "NO_COLOR=1", "TERM=dumb",
	}, n.Env...)
}

// ErrUntrusted is wrapped by every refusal to run untrusted code here.
var ErrUntrusted = errors.New("untrusted code is not run here")

// safeSince lists, per release line, the first Nix without the known ways out of a
// restricted evaluation (memory corruption by hostile expressions) and out of the
// sandbox (CVE-2024-27297).
var safeSince = []Version{{2, 28, 8}, {2, 30, 6}, {2, 31, 6}, {2, 34, 9}, {2, 35, 3}}

// Safe reports, as an error that says what to do, whether this version may run
// code that nobody has reviewed.
func (v Version) Safe() error {
	newest := safeSince[len(safeSince)-1]
	for _, s := range safeSince {
		if v.Major == s.Major && v.Minor == s.Minor {
			if v.Less(s) {
				return fmt.Errorf("%w: Nix %s has known holes; update it to %s or newer, or run on a trusted branch", ErrUntrusted, v, s)
			}
			return nil
		}
	}
	if v.Less(newest) {
		return fmt.Errorf("%w: Nix %s has known holes and its release line gets no fixes; update it to %s or newer, or run on a trusted branch", ErrUntrusted, v, newest)
	}
	return nil
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b.")

// clean makes text that Nix printed fit to be shown: no escape sequences, no
// control characters, no invalid UTF-8.
func clean(s string) string {
	s = escapes.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, s)
}

// bounded keeps the first bytes of what is written to it and says whether there was
// more.
type bounded struct {
	bytes.Buffer
	limit int
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if n := b.limit - b.Len(); n < len(p) {
		b.over = true
		b.Buffer.Write(p[:max(n, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
