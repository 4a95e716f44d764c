package testvm_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm"
)

func TestForksGoOnFromOneBootAndKnowNothingOfEachOther(t *testing.T) {
	src, err := testvm.Prepare(t.Context(), linux(t, prologue+shellOn("ttyS0")))
	require.NoError(t, err)
	defer src.Close()
	require.Equal(t, testvm.Fork, src.Method(), "%v", src.Notes)
	random := make([]string, 4)
	var all sync.WaitGroup
	for n := range random {
		all.Go(func() {
			began := time.Now()
			g, s, err := src.Fresh(t.Context())
			if !assert.NoError(t, err) {
				return
			}
			r, err := s.Run(t.Context(), testvm.Command{Run: "ls /tmp/mark 2>/dev/null; touch /tmp/mark; head -c 16 /dev/urandom | od -An -tx1"})
			if !assert.NoError(t, err) {
				return
			}
			t.Logf("fork and command: %v", time.Since(began))
			random[n] = string(r.Output)
			assert.Len(t, random[n], 49, "the mark of another fork is not there")
			e := g.Stop(t.Context())
			assert.Equal(t, testvm.OK, e.Outcome, "%v", e)
		})
	}
	all.Wait()
	for i := range random {
		for j := range i {
			assert.NotEqual(t, random[i], random[j])
		}
	}
}

func TestForksWriteToDisksOfTheirOwnOverWhatTheBootWrote(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(disk, []byte("original"), 0o644))
	require.NoError(t, os.Truncate(disk, 16<<20))
	m := linux(t, prologue+"printf booted-- >/dev/vda\nsync\n"+shellOn("ttyS0"))
	m.Disks = []testvm.Disk{{File: testvm.File{Path: disk}}}
	src, err := testvm.Prepare(t.Context(), m)
	require.NoError(t, err)
	defer src.Close()
	require.Equal(t, testvm.Fork, src.Method(), "%v", src.Notes)
	for range 2 {
		g, s, err := src.Fresh(t.Context())
		require.NoError(t, err)
		r, err := s.Run(t.Context(), testvm.Command{Run: "head -c 8 /dev/vda; printf changed- | dd of=/dev/vda conv=fsync 2>/dev/null; head -c 8 /dev/vda"})
		require.NoError(t, err)
		assert.Equal(t, "booted--changed-", string(r.Output))
		assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
	}
	content, err := os.ReadFile(disk)
	require.NoError(t, err)
	assert.Equal(t, "original", string(content[:8]), "the image itself is never written to")
}
