// Package sample is a small distribution on tinypkgs with pull requests that break it in the ways that matter.
//
// Create turns it into a git repository: branch main, and one branch per pull request, each a single commit on main. The
// distribution is the folder base; a pull request is a mailbox patch in the folder changes, whose text says what ought to be
// found. Adding one is adding a patch there and its name to the list below.
package sample

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/internal/proc"
)

//go:embed all:base
var base embed.FS

//go:embed changes
var patches embed.FS

// Base is the branch that the pull requests want to be merged into.
const Base = "main"

// Change is one pull request of the sample repository.
type Change struct {
	// Name is its branch.
	Name string `json:"name"`
	// Title and Text are its commit message: what it does, and what a check ought to find.
	Title string `json:"title"`
	Text  string `json:"text"`
}

// names are the pull requests, the one with something of everything first.
var names = []string{
	"everything",
	"overlay-comment",
	"documentation",
	"kernel-parameter",
	"kernel-panic",
	"kernel-hang",
	"stale-patch",
	"shared-dependency",
	"broken-installer",
}

// Changes returns the pull requests, the one that shows most first.
func Changes() []Change {
	changes := make([]Change, len(names))
	for i, name := range names {
		data, err := patches.ReadFile("changes/" + name + ".patch")
		if err != nil {
			panic(err) // the list and the folder are both part of the program
		}
		changes[i] = parse(name, string(data))
	}
	return changes
}

// parse reads the message of a mailbox patch.
func parse(name, patch string) Change {
	header, rest, _ := strings.Cut(patch, "\n\n")
	text, _, _ := strings.Cut(rest, "\n---\n")
	var title string
	for line := range strings.Lines(header) {
		if subject, ok := strings.CutPrefix(line, "Subject: [PATCH] "); ok {
			title = strings.TrimSpace(subject)
		}
	}
	return Change{Name: name, Title: title, Text: strings.TrimSpace(text)}
}

// ErrOccupied says that the folder holds something else than the sample repository.
var ErrOccupied = errors.New("the folder is not empty, and not this version's sample repository")

// Digest names the content of the sample: another version of it has another one.
func Digest() string {
	h := sha256.New()
	for _, files := range []embed.FS{base, patches} {
		// Walking an embedded file system cannot fail.
		_ = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := files.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n", path, len(data))
			h.Write(data)
			return err
		})
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Create makes the repository in dir, on branch main. Commits are the same, hash by hash, every time. A folder that holds this
// version of the sample already is left as it is, with whatever was done to it since; one that holds something else is
// an error that wraps ErrOccupied.
func Create(ctx context.Context, dir string) error {
	marker := filepath.Join(dir, ".git", "asterbot-sample")
	if got, err := os.ReadFile(marker); err == nil && string(got) == Digest() {
		return nil
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("create the sample repository in %s: %w", dir, ErrOccupied)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create the sample repository: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("create the sample repository: %w", err)
	}
	// Made beside its place and moved there when it is whole, so that an interrupted run leaves nothing half done.
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".sample-")
	if err != nil {
		return fmt.Errorf("create the sample repository: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := build(ctx, tmp); err != nil {
		return fmt.Errorf("create the sample repository: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("create the sample repository: %w", err)
	}
	// An empty folder may be in the way; one that is not stays, and the rename fails.
	_ = os.Remove(dir)
	if err := os.Rename(tmp, dir); err != nil {
		if got, readErr := os.ReadFile(marker); readErr == nil && string(got) == Digest() {
			return nil // another process was first
		}
		return fmt.Errorf("create the sample repository: %w", err)
	}
	return nil
}

func build(ctx context.Context, dir string) error {
	tree, err := fs.Sub(base, "base")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, tree); err != nil {
		return err
	}
	git := repository(dir)
	steps := [][]string{
		{"init", "--quiet", "--initial-branch=" + Base},
		{"config", "user.name", "Sample Author"},
		{"config", "user.email", "author@example.org"},
		{"add", "--all"},
		{"commit", "--quiet", "--message=A sample distribution"},
	}
	for _, step := range steps {
		if err := git(ctx, nil, step...); err != nil {
			return err
		}
	}
	for _, name := range names {
		patch, err := patches.ReadFile("changes/" + name + ".patch")
		if err != nil {
			return err
		}
		if err := git(ctx, nil, "checkout", "--quiet", "-b", name, Base); err != nil {
			return err
		}
		if err := git(ctx, patch, "am", "--quiet", "--committer-date-is-author-date"); err != nil {
			return fmt.Errorf("apply the pull request %s: %w", name, err)
		}
	}
	if err := git(ctx, nil, "checkout", "--quiet", Base); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ".git", "asterbot-sample"), []byte(Digest()), 0o644)
}

// repository returns a function that runs git in dir, untouched by the user's configuration and clock.
func repository(dir string) func(ctx context.Context, stdin []byte, args ...string) error {
	return func(ctx context.Context, stdin []byte, args ...string) error {
		cmd := &proc.Cmd{
			Path:  "git",
			Args:  args,
			Dir:   dir,
			Stdin: bytes.NewReader(stdin),
			Env: []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C", "TZ=UTC",
				"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=Sample Author", "GIT_AUTHOR_EMAIL=author@example.org", "GIT_AUTHOR_DATE=2026-01-05T10:00:00Z",
				"GIT_COMMITTER_NAME=Sample Author", "GIT_COMMITTER_EMAIL=author@example.org", "GIT_COMMITTER_DATE=2026-01-05T10:00:00Z",
			},
		}
		return cmd.Run(ctx)
	}
}
