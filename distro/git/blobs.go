package git

import (
	"context"
	"fmt"
	"strings"
)

// Blob is a file of a commit.
type Blob struct{ Path, Hash string }

// Blobs lists all files of a commit that pick selects, sorted by path. A
// submodule counts as a file whose hash is its commit.
func (r Repo) Blobs(ctx context.Context, rev string, pick func(path string) bool) ([]Blob, error) {
	out, err := r.cmd(nil, "ls-tree", "-r", "-z", "--full-tree", rev).Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files of %.12s: %w", rev, explain(err))
	}
	var blobs []Blob
	for _, entry := range splitZero(out) {
		head, path, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(head)
		if !ok || len(fields) != 3 {
			return nil, fmt.Errorf("list files of %.12s: git printed %q", rev, entry)
		}
		if pick(path) {
			// The mode too: an executable bit can change a build.
			blobs = append(blobs, Blob{Path: path, Hash: fields[0] + ":" + fields[2]})
		}
	}
	return blobs, nil
}
