//go:build soak

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSoakAReleaseIsTheSameBytesWhoeverBuildsIt builds what a release consists of
// twice, in folders of different names and each from nothing.
func TestSoakAReleaseIsTheSameBytesWhoeverBuildsIt(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, name := range []string{"one", "another/one"} {
		dir := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
		out, err := exec.Command("git", "-C", root, "worktree", "add", "--detach", dir, "HEAD").CombinedOutput()
		require.NoError(t, err, "%s", out)
		t.Cleanup(func() { _ = exec.Command("git", "-C", root, "worktree", "remove", "--force", dir).Run() })
		cmd := exec.Command("bash", filepath.Join(dir, "action/dist.sh"), filepath.Join(dir, "dist"))
		cmd.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=-modcacherw")
		out, err = cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		entries, err := os.ReadDir(filepath.Join(dir, "dist"))
		require.NoError(t, err)
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, "dist", e.Name()))
			require.NoError(t, err)
			if first, ok := files[e.Name()]; ok {
				assert.True(t, string(first) == string(data), "%s differs", e.Name())
			}
			files[e.Name()] = data
		}
	}
	for _, name := range []string{"bot-linux-amd64", "bot-linux-arm64", "SHA256SUMS", "man-and-completions.tar.gz", "asterbot.schema.json", "CHANGELOG.md"} {
		assert.Contains(t, files, name)
	}
}
