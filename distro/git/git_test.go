package git_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/git"
)

// history is a repository under construction.
type history struct {
	t   *testing.T
	dir string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{t, t.TempDir()}
	h.git("init", "-q", "-b", "main")
	return h
}

func (h *history) git(args ...string) string {
	h.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", h.dir, "-c", "user.name=t", "-c", "user.email=t@t"}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(h.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// commit writes files (an empty content removes one) and commits.
func (h *history) commit(files map[string]string) string {
	h.t.Helper()
	for name, text := range files {
		p := filepath.Join(h.dir, name)
		if text == "" {
			require.NoError(h.t, os.Remove(p))
			continue
		}
		require.NoError(h.t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(h.t, os.WriteFile(p, []byte(text), 0o644))
	}
	h.git("add", "-A")
	h.git("commit", "-q", "--allow-empty", "-m", "x")
	return h.git("rev-parse", "HEAD")
}

func TestChange(t *testing.T) {
	h := newHistory(t)
	first := h.commit(map[string]string{"a": "1\n2\n3\n", "b": "1\n"})
	h.git("checkout", "-q", "-b", "topic")
	head := h.commit(map[string]string{"a": "1\n2\n3\n4\n", "new name": "x\n"})
	h.git("checkout", "-q", "main")
	moved := h.commit(map[string]string{"b": "2\n"})
	clash := h.commit(map[string]string{"a": "1\n2\n3\n5\n"})
	h.git("checkout", "-q", "--orphan", "stranger")
	stranger := h.commit(map[string]string{"z": "z\n"})
	repo := git.Repo{Dir: h.dir}
	ctx := context.Background()

	t.Run("head descends from base: head itself is judged", func(t *testing.T) {
		c, err := repo.Change(ctx, first, head)
		require.NoError(t, err)
		assert.Equal(t, &distro.Change{Base: first, Head: head, Merged: head, Files: []string{"a", "new name"}}, c)
	})
	t.Run("base moved on: the merge is judged, and what base did is no part of it", func(t *testing.T) {
		c, err := repo.Change(ctx, moved, "topic")
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "new name"}, c.Files)
		assert.NotEqual(t, head, c.Merged)
		again, err := repo.Change(ctx, moved, head)
		require.NoError(t, err)
		assert.Equal(t, c.Merged, again.Merged, "the same merge is the same commit")
		parent, err := repo.FirstParent(ctx, c.Merged)
		require.NoError(t, err)
		assert.Equal(t, moved, parent)
		text, err := repo.Show(ctx, c.Merged, "b", 100)
		require.NoError(t, err)
		assert.Equal(t, "2\n", string(text))
	})
	t.Run("a conflict names its files and there is nothing to judge", func(t *testing.T) {
		c, err := repo.Change(ctx, clash, head)
		require.NoError(t, err)
		assert.Equal(t, []string{"a"}, c.Conflicts)
		assert.Empty(t, c.Merged)
	})
	t.Run("nothing in common is an error that says what to do", func(t *testing.T) {
		_, err := repo.Change(ctx, stranger, head)
		assert.ErrorContains(t, err, "no common ancestor")
	})
	t.Run("a revision that is not there is an error that says what to do", func(t *testing.T) {
		for _, rev := range []string{"nowhere", "", "--all", strings.Repeat("0", 40)} {
			_, err := repo.Change(ctx, rev, head)
			var missing *git.MissingError
			require.ErrorAs(t, err, &missing, "%q", rev)
			assert.ErrorContains(t, err, "fetch it first")
		}
	})
	t.Run("no working tree and no branch is touched", func(t *testing.T) {
		assert.Empty(t, h.git("status", "--porcelain"))
		assert.Equal(t, "refs/heads/stranger", h.git("symbolic-ref", "HEAD"))
		assert.Len(t, strings.Fields(h.git("for-each-ref", "--format=%(refname)")), 3)
	})
}

func TestFilesWithNamesMadeToHurt(t *testing.T) {
	h := newHistory(t)
	base := h.commit(map[string]string{"keep": "x\n", "old": "a\nb\nc\n"})
	names := []string{"with\nnewline", `back\slash "quote"`, "${IFS}", "::set-output name=x::y", "\xff\xfe", "-rf", " lead", ":(top)x", strings.Repeat("n", 200)}
	files := map[string]string{"new": "a\nb\nc\n", "old": ""}
	for _, n := range names {
		files["d/"+n] = "x\n"
	}
	head := h.commit(files)
	repo := git.Repo{Dir: h.dir}
	got, err := repo.Files(context.Background(), base, head)
	require.NoError(t, err)
	for _, n := range names {
		assert.Contains(t, got, "d/"+n)
	}
	assert.Contains(t, got, "old", "a rename gives the old path")
	assert.Contains(t, got, "new", "and the new one")
	assert.Len(t, got, len(names)+2)

	lines, err := repo.Lines(context.Background(), base, head, got)
	require.NoError(t, err)
	assert.Equal(t, []distro.LineRange{{First: 1, Last: 1}}, lines["d/:(top)x"])
	assert.Equal(t, []distro.LineRange{{First: 1, Last: 1}}, lines["d/with\nnewline"])
}

func TestLines(t *testing.T) {
	h := newHistory(t)
	base := h.commit(map[string]string{"f": "1\n2\n3\n4\n5\n6\n7\n8\n"})
	head := h.commit(map[string]string{"f": "1\ntwo\n3\n4\n6\n7\n8\n9\n10\n"})
	lines, err := git.Repo{Dir: h.dir}.Lines(context.Background(), base, head, []string{"f"})
	require.NoError(t, err)
	assert.Equal(t, []distro.LineRange{{First: 2, Last: 2}, {First: 4, Last: 4}, {First: 8, Last: 9}}, lines["f"])
}

func TestExport(t *testing.T) {
	h := newHistory(t)
	rev := h.commit(map[string]string{"distro/a.nix": "a\n", "distro/sub/b.nix": "b\n", "kernel/c.rs": "c\n", "top": "t\n"})
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(h.dir, "distro/link")))
	require.NoError(t, os.Chmod(filepath.Join(h.dir, "distro/a.nix"), 0o755))
	h.git("add", "-A")
	h.git("commit", "-q", "-m", "x")
	rev2 := h.git("rev-parse", "HEAD")
	repo := git.Repo{Dir: h.dir}
	ctx := context.Background()

	t.Run("only the paths asked for, and no .git", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "src")
		require.NoError(t, repo.Export(ctx, rev2, dir, "distro", "top", "not-there"))
		assert.Equal(t, []string{"distro", "distro/a.nix", "distro/link", "distro/sub", "distro/sub/b.nix", "top"}, tree(t, dir))
		target, err := os.Readlink(filepath.Join(dir, "distro/link"))
		require.NoError(t, err)
		assert.Equal(t, "/etc/passwd", target)
		info, err := os.Stat(filepath.Join(dir, "distro/a.nix"))
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&0o100)
	})
	t.Run("all of it", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "src")
		require.NoError(t, repo.Export(ctx, rev, dir))
		assert.Equal(t, []string{"distro", "distro/a.nix", "distro/sub", "distro/sub/b.nix", "kernel", "kernel/c.rs", "top"}, tree(t, dir))
	})
	t.Run("a tree's hash changes with what is in it and with nothing else", func(t *testing.T) {
		a, err := repo.Trees(ctx, rev, []string{"distro", "kernel", ".", "not-there"})
		require.NoError(t, err)
		b, err := repo.Trees(ctx, rev2, []string{"distro", "kernel", ".", "not-there"})
		require.NoError(t, err)
		assert.NotEqual(t, a[0], b[0])
		assert.Equal(t, a[1], b[1])
		assert.NotEqual(t, a[2], b[2])
		assert.Empty(t, a[3])
	})
	t.Run("a working tree is removed without a trace", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "w")
		remove, err := repo.Worktree(ctx, rev, dir)
		require.NoError(t, err)
		assert.FileExists(t, filepath.Join(dir, "kernel/c.rs"))
		require.NoError(t, remove())
		assert.NoDirExists(t, dir)
		assert.Len(t, strings.Split(h.git("worktree", "list"), "\n"), 1)
	})
}

func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); rel != "." {
			out = append(out, rel)
		}
		return err
	}))
	return out
}
