package tempdir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/tempdir"
)

func TestSweepTakesOnlyWhatNobodyHolds(t *testing.T) {
	parent := t.TempDir()
	long := time.Now().Add(-time.Hour)
	make := func(name string, when time.Time) string {
		dir := filepath.Join(parent, name)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "below"), 0o700))
		require.NoError(t, os.Chtimes(dir, when, when))
		return dir
	}
	mine, err := tempdir.New(parent, "a-")
	require.NoError(t, err)
	require.NoError(t, os.Chtimes(mine.Path, long, long))
	// The number is that of no process: ids say nothing, a container has its own.
	left, fresh, other := make("a-99999999-1", long), make("a-2", time.Now()), make("b-1", long)

	assert.Equal(t, 1, tempdir.Sweep(parent, "a-"))
	assert.NoDirExists(t, left, "its maker is gone")
	assert.DirExists(t, mine.Path, "it is held")
	assert.DirExists(t, fresh, "its maker may not have locked it yet")
	assert.DirExists(t, other, "it is of another kind")

	require.NoError(t, mine.Remove())
	assert.NoDirExists(t, mine.Path)
	require.NoError(t, os.Chtimes(fresh, long, long))
	again, err := tempdir.New(parent, "a-")
	require.NoError(t, err)
	defer again.Remove()
	assert.NoDirExists(t, fresh, "New sweeps")
}
