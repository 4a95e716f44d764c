package sample_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro/sample"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

func TestEveryPullRequestIsOneCommitOnMain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "repo")
	require.NoError(t, sample.Create(t.Context(), dir))
	assert.Equal(t, sample.Base, git(t, dir, "branch", "--show-current"))
	assert.Empty(t, git(t, dir, "status", "--porcelain"))
	for _, c := range sample.Changes() {
		assert.Equal(t, "1", git(t, dir, "rev-list", "--count", sample.Base+".."+c.Name), c.Name)
		assert.Equal(t, c.Title, git(t, dir, "log", "-1", "--format=%s", c.Name))
		assert.NotEmpty(t, c.Text, c.Name)
	}
}

func TestEveryPatchIsListed(t *testing.T) {
	files, err := filepath.Glob("changes/*.patch")
	require.NoError(t, err)
	assert.Len(t, sample.Changes(), len(files))
}

func TestCreateMakesTheSameCommitsEveryTime(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	require.NoError(t, sample.Create(t.Context(), a))
	t.Setenv("GIT_AUTHOR_NAME", "Somebody Else")
	require.NoError(t, sample.Create(t.Context(), b))
	for _, c := range sample.Changes() {
		assert.Equal(t, git(t, a, "rev-parse", c.Name), git(t, b, "rev-parse", c.Name), c.Name)
	}
}

func TestCreateLeavesWhatIsThereAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	require.NoError(t, sample.Create(t.Context(), dir))
	own := filepath.Join(dir, "own")
	require.NoError(t, os.WriteFile(own, nil, 0o644))
	require.NoError(t, sample.Create(t.Context(), dir), "a repository that was worked in is used as it is")
	assert.FileExists(t, own)

	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "precious"), nil, 0o644))
	require.ErrorIs(t, sample.Create(t.Context(), other), sample.ErrOccupied)
	assert.FileExists(t, filepath.Join(other, "precious"))
}
