package testvm_test

import (
	"os"
	"path/filepath"
	"strings"
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
	require.Empty(t, src.Notes)
	assert.Contains(t, string(src.Consoles["ttyS0"]), "Linux version", "what the boot said")
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

// lame is a QEMU that lacks something: a shell script that looks at the
// arguments first.
func lame(t *testing.T, script string) string {
	path := filepath.Join(t.TempDir(), "qemu")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"exec qemu-system-x86_64 \"$@\"\n"), 0o755))
	return path
}

func TestWhereForksDoNotWorkTheNextBestWayIsTakenAndToldOf(t *testing.T) {
	const (
		noSharedMemory = "case \"$*\" in *memory-backend-file*) echo 'no such memory here' >&2; exit 1; esac\n"
		noMigration    = "case \"$*\" in *-incoming*) echo 'no migration here' >&2; exit 1; esac\n"
		// It loads the state and then goes its own way: the guest's input leads nowhere.
		deafForks = "case \"$*\" in *-incoming*) for f in $(echo \"$*\" | grep -o 'path=[^,]*'); do f=${f#path=}; rm $f.in; mkfifo $f.in; done; esac\n"
	)
	for _, tc := range []struct {
		name, script string
		method       testvm.Method
		notes        []string
		boots        int // until there was something to make guests of
	}{
		{"a QEMU that cannot map a guest's memory", noSharedMemory, testvm.Migrate, []string{"not made by fork", "no such memory here"}, 1},
		{"a QEMU that loads no state", noMigration, testvm.Cold, []string{"not made by fork", "no migration here", "not made by migrate", "each guest is booted"}, 2},
		{"forks that do not answer", deafForks, testvm.Cold, []string{"not made by fork", "a copy of the guest misbehaves", "not made by migrate", "each guest is booted"}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := linux(t, prologue+shellOn("ttyS0"))
			accel, err := testvm.Accelerate(t.Context(), "", false)
			require.NoError(t, err)
			m.Accel, m.QEMU = accel, lame(t, tc.script)
			m.Accel.Factor = min(accel.Factor, 3) // who does not answer is waited for that much less
			src, err := testvm.Prepare(t.Context(), m)
			require.NoError(t, err)
			defer src.Close()
			assert.Equal(t, tc.method, src.Method(), "%v", src.Notes)
			for _, n := range tc.notes {
				assert.Contains(t, strings.Join(src.Notes, "\n"), n)
			}
			boots, _ := src.Counts()
			assert.Equal(t, tc.boots, boots)
			for range 2 {
				g, s, err := src.Fresh(t.Context())
				require.NoError(t, err)
				r, err := s.Run(t.Context(), testvm.Command{Run: "ls /tmp/mark 2>/dev/null; touch /tmp/mark; echo fresh"})
				require.NoError(t, err)
				assert.Equal(t, "fresh\n", string(r.Output))
				assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
			}
		})
	}
}

func TestForksGoOnUnderUEFI(t *testing.T) {
	t.Parallel()
	m := linux(t, prologue+shellOn("ttyS0"))
	m.Firmware = testvm.UEFI
	m.Profile.Boot = time.Minute
	src, err := testvm.Prepare(t.Context(), m)
	require.NoError(t, err)
	defer src.Close()
	require.Equal(t, testvm.Fork, src.Method(), "%v", src.Notes)
	for range 2 {
		g, s, err := src.Fresh(t.Context())
		require.NoError(t, err)
		r, err := s.Run(t.Context(), testvm.Command{Run: "ls -d /sys/firmware/efi; ls /tmp/mark 2>/dev/null; touch /tmp/mark"})
		require.NoError(t, err)
		assert.Equal(t, "/sys/firmware/efi\n", string(r.Output))
		assert.Equal(t, testvm.OK, g.Stop(t.Context()).Outcome)
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
