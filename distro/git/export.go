package git

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/internal/tempdir"
)

// Export writes the given paths of a commit into dir, which is created; with no
// paths, all of it. Paths that the commit does not have are left out. There is
// no .git in it, no large-file or submodule content, and nothing is kept in the
// repository: removing dir removes everything.
//
// Nix takes a source's store name from its folder, so trees to be compared
// belong in folders of the same name.
func (r Repo) Export(ctx context.Context, rev, dir string, paths ...string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	folder, err := tempdir.New("", "asterbot-index-")
	if err != nil {
		return err
	}
	defer folder.Remove()
	scratch := folder.Path
	index := []string{"GIT_INDEX_FILE=" + filepath.Join(scratch, "index")}

	if len(paths) == 0 {
		paths = []string{"."}
	}
	hashes, err := r.Trees(ctx, rev, paths)
	if err != nil {
		return err
	}
	for i, p := range paths {
		if hashes[i] == "" {
			continue
		}
		if err := r.stage(ctx, index, rev, p); err != nil {
			return fmt.Errorf("export %s of %.12s: %w", p, rev, explain(err))
		}
	}
	checkout := r.cmd(index, "checkout-index", "--all", "--quiet", "--force", "--prefix="+dir+string(filepath.Separator))
	if err := checkout.Run(ctx); err != nil {
		return fmt.Errorf("export %.12s: %w", rev, explain(err))
	}
	return nil
}

// stage adds a path of a commit to the index. Listing a tree and reading the list
// back is the one way that takes files and folders alike.
func (r Repo) stage(ctx context.Context, index []string, rev, path string) error {
	path = filepath.ToSlash(filepath.Clean(path))
	if path == "." {
		return r.cmd(index, "read-tree", rev).Run(ctx)
	}
	list, err := r.cmd(nil, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", rev, "--", path).Output(ctx)
	if err != nil {
		return err
	}
	update := r.cmd(index, "update-index", "-z", "--index-info")
	update.Stdin = strings.NewReader(string(list))
	return update.Run(ctx)
}

// Worktree writes all of a commit into dir as a working tree of the repository,
// for commands that ask git questions. The function removes it again.
func (r Repo) Worktree(ctx context.Context, rev, dir string) (remove func() error, err error) {
	remove = func() error {
		// Cleaning up has to work after the context has ended.
		ctx := context.WithoutCancel(ctx)
		err := r.cmd(nil, "worktree", "remove", "--force", "--force", dir).Run(ctx)
		if rm := os.RemoveAll(dir); err == nil {
			err = rm
		}
		_ = r.cmd(nil, "worktree", "prune").Run(ctx)
		return err
	}
	if err := r.cmd(nil, "worktree", "add", "--quiet", "--detach", "--force", dir, rev).Run(ctx); err != nil {
		_ = remove()
		return nil, fmt.Errorf("make working tree of %.12s: %w", rev, explain(err))
	}
	return remove, nil
}

// capped writes the first bytes and drops the rest.
type capped struct {
	to   io.Writer
	left int64
}

func (c *capped) Write(p []byte) (int, error) {
	if n := min(int64(len(p)), c.left); n > 0 {
		if _, err := c.to.Write(p[:n]); err != nil {
			return 0, err
		}
		c.left -= n
	}
	return len(p), nil
}
