package memo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/memo"
	"github.com/asterinas/asterbot/internal/pipeline"
)

const someKey = "some key"

var (
	noon   = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	exit1  = 1
	failed = checks.Outcome{Status: checks.Fail, Stage: "test", Reason: "exit status 1", Title: "exit status N", Exit: &exit1, Tail: []string{"EOF on netlink"}, Seconds: 3}
)

func newStore(t *testing.T) *memo.Store {
	return &memo.Store{Dir: filepath.Join(t.TempDir(), "memo"), Now: func() time.Time { return noon }, Warn: func(err error) { t.Error(err) }}
}

func TestAnOutcomeComesBackWithItsTime(t *testing.T) {
	s := newStore(t)
	_, ok := s.Load(someKey)
	require.False(t, ok)

	o := failed
	o.Log, o.Image = "logs/x", "x.png"
	s.Store(someKey, o)
	got, ok := s.Load(someKey)
	require.True(t, ok)
	want := failed
	want.Remembered = &noon
	assert.Equal(t, want, got)

	// What is remembered is not established anew by being used.
	s.Now = func() time.Time { return noon.Add(time.Hour) }
	s.Store(someKey, got)
	got, _ = s.Load(someKey)
	assert.Equal(t, noon, *got.Remembered)

	// A new run replaces it.
	s.Store(someKey, checks.Outcome{Status: checks.Pass})
	got, _ = s.Load(someKey)
	assert.Equal(t, checks.Pass, got.Status)
}

func TestKeysMayHoldAnything(t *testing.T) {
	s := newStore(t)
	keys := []string{"", "a", "../../etc/passwd", "\xff", "\xfe", strings.Repeat("long", 10000), "a\nb"}
	for i, k := range keys {
		s.Store(k, checks.Outcome{Status: checks.Pass, Attempts: i})
	}
	for i, k := range keys {
		o, ok := s.Load(k)
		assert.True(t, ok, k)
		assert.Equal(t, i, o.Attempts, k)
	}
	assert.Len(t, entries(t, s.Dir), len(keys))
}

func TestWhatSaysNothingOfTheCaseIsNotRemembered(t *testing.T) {
	for name, o := range map[string]checks.Outcome{
		"infrastructure":     {Status: checks.Error, Infra: true},
		"an error":           {Status: checks.Error, Reason: "cancelled"},
		"a timeout":          {Status: checks.Fail, TimedOut: true},
		"unknown":            {Status: checks.Unknown},
		"absent":             {Status: checks.Absent},
		"nothing":            {},
		"an infra failure":   {Status: checks.Fail, Infra: true},
		"an impossible pass": {Status: checks.Pass, TimedOut: true},
	} {
		s := newStore(t)
		s.Store(someKey, o)
		_, ok := s.Load(someKey)
		assert.False(t, ok, name)
		_, err := os.Stat(s.Dir)
		assert.ErrorIs(t, err, os.ErrNotExist, name)
	}
}

func TestADamagedEntryIsSaidAndCountsAsNotRemembered(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut short":     func(b []byte) []byte { return b[:len(b)/2] },
		"empty":         func([]byte) []byte { return nil },
		"a flipped bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"too long":      func(b []byte) []byte { return append(b, make([]byte, 2<<20)...) },
		"a green lie":   func(b []byte) []byte { return []byte(strings.Replace(string(b), `"fail"`, `"pass"`, 1)) },
	} {
		s := newStore(t)
		var said []error
		s.Warn = func(err error) { said = append(said, err) }
		s.Store(someKey, failed)
		path := entries(t, s.Dir)[0]
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, damage(data), 0o644))
		_, ok := s.Load(someKey)
		assert.False(t, ok, name)
		assert.Len(t, said, 1, name)

		s.Store(someKey, failed)
		_, ok = s.Load(someKey)
		assert.True(t, ok, "%s: written anew, it is good again", name)
	}
}

func TestAnEntryOfAnotherKeyIsNotTaken(t *testing.T) {
	s := newStore(t)
	var said int
	s.Warn = func(error) { said++ }
	s.Store("other", failed)
	data, err := os.ReadFile(entries(t, s.Dir)[0])
	require.NoError(t, err)
	s.Store(someKey, failed)
	for _, path := range entries(t, s.Dir) {
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	_, ok := s.Load(someKey)
	assert.False(t, ok)
	assert.Equal(t, 1, said)
}

func TestAFolderThatCannotBeWrittenIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	var said []error
	s := &memo.Store{Dir: file, Warn: func(err error) { said = append(said, err) }}
	s.Store(someKey, failed)
	require.Len(t, said, 1)
}

func TestPruneRemovesWhatIsOldThenWhatIsTooMuch(t *testing.T) {
	s := newStore(t)
	now := noon
	s.Now = func() time.Time { return now }
	key := strconv.Itoa
	for i := range 10 {
		s.Store(key(i), failed)
		now = noon.Add(time.Duration(i) * time.Hour)
		_, ok := s.Load(key(i))
		require.True(t, ok)
	}
	left := filepath.Join(s.Dir, "00", ".new-killed")
	require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o755))
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o644))
	require.NoError(t, os.Chtimes(left, noon, noon))

	done, err := s.Prune(5*time.Hour, 0)
	require.NoError(t, err)
	assert.Equal(t, memo.Pruned{Removed: 5, Kept: 6, Bytes: done.Bytes}, done, "hours 0 to 3 and what a killed process left")
	one := done.Bytes / 6

	now = noon.Add(10 * time.Hour)
	_, ok := s.Load(key(4)) // used again, so it is not the next to go
	require.True(t, ok)
	done, err = s.Prune(0, 2*one+one/2)
	require.NoError(t, err)
	assert.Equal(t, 2, done.Kept)
	for i, want := range map[int]bool{4: true, 9: true, 8: false, 5: false} {
		_, ok := s.Load(key(i))
		assert.Equal(t, want, ok, i)
	}

	done, err = (&memo.Store{Dir: filepath.Join(t.TempDir(), "none")}).Prune(time.Hour, 1)
	require.NoError(t, err)
	assert.Equal(t, memo.Pruned{}, done)
}

// TestSeveralProcessesShareAFolder runs this test binary as the other processes.
func TestSeveralProcessesShareAFolder(t *testing.T) {
	const keys, rounds = 5, 60
	key := strconv.Itoa
	work := func(s *memo.Store) (bad error) {
		s.Warn = func(err error) { bad = err }
		for i := range rounds {
			k := key(i % keys)
			s.Store(k, failed)
			if o, ok := s.Load(k); ok && o.Reason != failed.Reason {
				return fmt.Errorf("a foreign outcome: %v", o)
			}
			if i%20 == 0 {
				if _, err := s.Prune(0, 600); err != nil {
					return err
				}
			}
		}
		return bad
	}
	if dir := os.Getenv("MEMO_TEST_DIR"); dir != "" {
		require.NoError(t, work(&memo.Store{Dir: dir}))
		return
	}
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSeveralProcessesShareAFolder$")
			cmd.Env = append(os.Environ(), "MEMO_TEST_DIR="+dir)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s", out)
		})
	}
	group.Wait()
	for _, f := range entries(t, dir) {
		assert.NotContains(t, f, ".new-")
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	return files
}

var _ pipeline.Memo = (*memo.Store)(nil)
