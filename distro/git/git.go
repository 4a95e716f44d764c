// Package git drives git: it says what a pull request changes, merges it into
// its base without touching any working tree, and writes trees out for others
// to read.
//
// A Repo is a folder in a git repository. Nothing of the user's or the system's
// git configuration is used, no hook runs, and nothing is fetched: what
// is not there is an error that says how to get it.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/proc"
)

// Repo is a git repository on this machine.
type Repo struct {
	// Dir is a folder inside its working tree, or a bare repository.
	Dir string
}

// A MissingError says that a revision is not in the repository.
type MissingError struct {
	Rev string
	Err error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("resolve revision %q: not in this repository; fetch it first (in a shallow clone: git fetch --unshallow)", e.Rev)
}

func (e *MissingError) Unwrap() error { return e.Err }

// env keeps git to itself: no configuration but the repository's, no prompt,
// no large-file download, messages in English.
func env(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_LFS_SKIP_SMUDGE=1", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1",
		"GIT_AUTHOR_NAME=asterbot", "GIT_AUTHOR_EMAIL=asterbot@localhost",
		"GIT_COMMITTER_NAME=asterbot", "GIT_COMMITTER_EMAIL=asterbot@localhost",
	}, extra...)
}

// cmd is a git command in the repository. A folder that another user owns is as
// good as one's own: the caller named it, and a checkout in a container is owned
// by somebody else as a rule.
func (r Repo) cmd(extraEnv []string, args ...string) *proc.Cmd {
	args = append([]string{
		"-C", r.Dir, "-c", "safe.directory=*", "-c", "core.hooksPath=" + os.DevNull,
		"-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "core.autocrlf=false",
		"-c", "gc.auto=0", "-c", "protocol.allow=never", "-c", "core.longPaths=true",
	}, args...)
	return &proc.Cmd{Path: "git", Args: args, Env: env(extraEnv...)}
}

func (r Repo) output(ctx context.Context, args ...string) (string, error) {
	out, err := r.cmd(nil, args...).Output(ctx)
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], explain(err))
	}
	return string(out), nil
}

// explain shortens the command line of a failed git to what matters.
func explain(err error) error {
	var failed *proc.Error
	if errors.As(err, &failed) && failed.Exit > 0 && failed.Tail != "" {
		return fmt.Errorf("%s: %w", strings.TrimSpace(failed.Tail), err)
	}
	return err
}

// Resolve returns the full hash of the commit that a revision names. It is a
// *MissingError if there is none.
func (r Repo) Resolve(ctx context.Context, rev string) (string, error) {
	if strings.HasPrefix(rev, "-") || rev == "" {
		return "", &MissingError{Rev: rev}
	}
	out, err := r.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		var failed *proc.Error
		if errors.As(err, &failed) && failed.Exit == 1 {
			return "", &MissingError{Rev: rev, Err: err}
		}
		return "", err
	}
	return strings.TrimSpace(out), nil
}

// Root returns the top folder of the working tree.
func (r Repo) Root(ctx context.Context) (string, error) {
	out, err := r.output(ctx, "rev-parse", "--show-toplevel")
	return strings.TrimSuffix(out, "\n"), err
}

// MergeBase returns the best common ancestor of two commits; "" if there is
// none.
func (r Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.output(ctx, "merge-base", a, b)
	var failed *proc.Error
	if errors.As(err, &failed) && failed.Exit == 1 {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

// FirstParent returns the first parent of a commit; "" if it has none.
func (r Repo) FirstParent(ctx context.Context, rev string) (string, error) {
	hash, err := r.Resolve(ctx, rev+"^1")
	var missing *MissingError
	if errors.As(err, &missing) {
		return "", nil
	}
	return hash, err
}

// Change says what merging head into base does: it compares base with the
// merge, which is head itself where head descends from base. Where they
// conflict, Conflicts is set and Merged is empty.
//
// The merge is a commit object without a name in the repository; its hash depends
// on base and head alone.
func (r Repo) Change(ctx context.Context, base, head string) (*distro.Change, error) {
	b, err := r.Resolve(ctx, base)
	if err != nil {
		return nil, err
	}
	h, err := r.Resolve(ctx, head)
	if err != nil {
		return nil, err
	}
	c := &distro.Change{Base: b, Head: h, Files: []string{}}
	c.Merged, c.Conflicts, err = r.merge(ctx, b, h)
	if err != nil || c.Merged == "" {
		return c, err
	}
	c.Files, err = r.Files(ctx, b, c.Merged)
	return c, err
}

// merge returns the commit that merging head into base makes.
func (r Repo) merge(ctx context.Context, base, head string) (merged string, conflicts []string, err error) {
	ancestor, err := r.MergeBase(ctx, base, head)
	switch {
	case err != nil:
		return "", nil, err
	case ancestor == base:
		return head, nil, nil
	case ancestor == "":
		return "", nil, fmt.Errorf("merge %.12s into %.12s: they have no common ancestor; in a shallow clone: git fetch --unshallow", head, base)
	}
	out, err := r.cmd(nil, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, head).Output(ctx)
	var failed *proc.Error
	conflict := errors.As(err, &failed) && failed.Exit == 1
	if err != nil && !conflict {
		return "", nil, fmt.Errorf("merge %.12s into %.12s: %w", head, base, explain(err))
	}
	fields := splitZero(out)
	if len(fields) == 0 {
		return "", nil, fmt.Errorf("merge %.12s into %.12s: git printed no tree", head, base)
	}
	if conflict {
		conflicts = slices.Compact(slices.Sorted(slices.Values(fields[1:])))
		return "", conflicts, nil
	}
	date, err := r.output(ctx, "log", "-1", "--format=%ct", head, "--")
	if err != nil {
		return "", nil, err
	}
	date = "GIT_COMMITTER_DATE=" + strings.TrimSpace(date) + " +0000"
	commit, err := r.cmd([]string{date, strings.Replace(date, "COMMITTER", "AUTHOR", 1)},
		"commit-tree", fields[0], "-p", base, "-p", head, "-m", "merge for asterbot").Output(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("merge %.12s into %.12s: %w", head, base, explain(err))
	}
	return strings.TrimSpace(string(commit)), nil, nil
}

// Files returns the paths that differ between two trees, sorted. A renamed file
// gives both of its paths.
func (r Repo) Files(ctx context.Context, a, b string) ([]string, error) {
	out, err := r.output(ctx, "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--end-of-options", a, b)
	if err != nil {
		return nil, err
	}
	files := splitZero([]byte(out))
	slices.Sort(files)
	return files, nil
}

// Lines returns, for each changed text file that still exists in b, the ranges
// of its lines in b that are new or border on removed ones, in order.
func (r Repo) Lines(ctx context.Context, a, b string, files []string) (map[string][]distro.LineRange, error) {
	if len(files) == 0 {
		return nil, nil
	}
	lines := map[string][]distro.LineRange{}
	// Patches of separate files cannot be told apart safely where names are
	// hostile, so each file has its own diff; few files matter.
	for _, f := range files {
		out, err := r.output(ctx, "--literal-pathspecs", "diff-tree", "-p", "-U0", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options", a, b, "--", f)
		if err != nil {
			return nil, err
		}
		if ranges := parseHunks(out); ranges != nil {
			lines[f] = ranges
		}
	}
	return lines, nil
}

// parseHunks reads the hunk headers of a patch of one file.
func parseHunks(patch string) []distro.LineRange {
	var out []distro.LineRange
	for line := range strings.Lines(patch) {
		rest, ok := strings.CutPrefix(line, "@@ -")
		if !ok {
			continue
		}
		_, rest, ok = strings.Cut(rest, " +")
		if !ok {
			continue
		}
		at, _, _ := strings.Cut(rest, " @@")
		start, count, counted := strings.Cut(at, ",")
		first, err := strconv.Atoi(start)
		if err != nil {
			continue
		}
		n := 1
		if counted {
			if n, err = strconv.Atoi(count); err != nil {
				continue
			}
		}
		// A hunk that only removes names the line before it.
		out = append(out, distro.LineRange{First: max(first, 1), Last: max(first+n-1, first, 1)})
	}
	return out
}

// Tree returns the hash of what a path is in a commit: a tree or a blob. It is
// "" where the path does not exist.
func (r Repo) Tree(ctx context.Context, rev, path string) (string, error) {
	hashes, err := r.Trees(ctx, rev, []string{path})
	if err != nil {
		return "", err
	}
	return hashes[0], nil
}

// Trees is Tree for several paths, in one process.
func (r Repo) Trees(ctx context.Context, rev string, paths []string) ([]string, error) {
	var in bytes.Buffer
	for _, p := range paths {
		if strings.ContainsAny(p, "\n") {
			return nil, fmt.Errorf("look up %q: a newline in a path", p)
		}
		p = filepath.ToSlash(filepath.Clean(p))
		if p == "." {
			p = ""
		}
		fmt.Fprintf(&in, "%s:%s\n", rev, p)
	}
	cmd := r.cmd(nil, "cat-file", "--batch-check=%(objectname)")
	cmd.Stdin = &in
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up paths in %.12s: %w", rev, explain(err))
	}
	var hashes []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasSuffix(line, " missing") {
			line = ""
		}
		hashes = append(hashes, line)
	}
	if len(hashes) != len(paths) {
		return nil, fmt.Errorf("look up paths in %.12s: %d answers to %d questions", rev, len(hashes), len(paths))
	}
	return hashes, nil
}

// Show returns the content of a file in a commit, at most limit bytes of it. It
// is fs.ErrNotExist where there is no such file.
func (r Repo) Show(ctx context.Context, rev, path string, limit int64) ([]byte, error) {
	hash, err := r.Tree(ctx, rev, path)
	if err != nil {
		return nil, err
	}
	if hash == "" {
		return nil, fmt.Errorf("read %s in %.12s: %w", path, rev, os.ErrNotExist)
	}
	var out bytes.Buffer
	cmd := r.cmd(nil, "cat-file", "blob", hash)
	cmd.Stdout = &capped{to: &out, left: limit}
	if err := cmd.Run(ctx); err != nil {
		return nil, fmt.Errorf("read %s in %.12s: %w", path, rev, explain(err))
	}
	return out.Bytes(), nil
}

func splitZero(out []byte) []string {
	s := strings.TrimRight(string(out), "\x00")
	if s == "" {
		return []string{}
	}
	return strings.Split(s, "\x00")
}
