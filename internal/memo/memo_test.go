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
)

func someKey() memo.Key {
	return memo.Key{
		Case:        checks.Case{Kind: checks.KindTest, Subject: "network", Name: "ip"},
		Outputs:     []string{"/nix/store/a", "/nix/store/b"},
		Kernel:      "1234",
		Params:      []string{"quiet", "loglevel=error"},
		Definition:  "d",
		Profile:     "p",
		Accelerator: "tcg",
		Versions:    map[string]string{"qemu": "7.2", "asterbot": "1"},
	}
}

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
	_, ok := s.Get(someKey())
	require.False(t, ok)

	o := failed
	o.Log, o.Image = "logs/x", "x.png"
	require.NoError(t, s.Put(someKey(), o))
	got, ok := s.Get(someKey())
	require.True(t, ok)
	want := failed
	want.Remembered = &noon
	assert.Equal(t, want, got)

	// What is remembered is not established anew by being used.
	s.Now = func() time.Time { return noon.Add(time.Hour) }
	require.NoError(t, s.Put(someKey(), got))
	got, _ = s.Get(someKey())
	assert.Equal(t, noon, *got.Remembered)

	// A new run replaces it.
	require.NoError(t, s.Put(someKey(), checks.Outcome{Status: checks.Pass}))
	got, _ = s.Get(someKey())
	assert.Equal(t, checks.Pass, got.Status)
}

func TestEveryFieldOfTheKeyTellsOutcomesApart(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*memo.Key){
		"nothing":            func(*memo.Key) {},
		"kind":               func(k *memo.Key) { k.Case.Kind = checks.KindBoot },
		"subject":            func(k *memo.Key) { k.Case.Subject = "x" },
		"name":               func(k *memo.Key) { k.Case.Name = "x" },
		"outputs":            func(k *memo.Key) { k.Outputs = k.Outputs[:1] },
		"kernel":             func(k *memo.Key) { k.Kernel = "x" },
		"parameters":         func(k *memo.Key) { k.Params = []string{"quiet loglevel=error"} },
		"their order":        func(k *memo.Key) { k.Params = []string{"loglevel=error", "quiet"} },
		"definition":         func(k *memo.Key) { k.Definition = "x" },
		"profile":            func(k *memo.Key) { k.Profile = "x" },
		"accelerator":        func(k *memo.Key) { k.Accelerator = "kvm" },
		"a version":          func(k *memo.Key) { k.Versions["qemu"] = "8" },
		"one version more":   func(k *memo.Key) { k.Versions["ovmf"] = "8" },
		"a byte moved":       func(k *memo.Key) { k.Definition, k.Profile = "dp", "" },
		"invalid UTF-8":      func(k *memo.Key) { k.Case.Name = "\xff" },
		"other invalid":      func(k *memo.Key) { k.Case.Name = "\xfe" },
		"a separator in it":  func(k *memo.Key) { k.Outputs = []string{"/nix/store/a12:/nix/store/b"} },
		"output as a kernel": func(k *memo.Key) { k.Outputs, k.Kernel = nil, "/nix/store/a" },
	} {
		k := someKey()
		change(&k)
		require.Empty(t, seen[k.Hash()], "%s is as %s", name, seen[k.Hash()])
		seen[k.Hash()] = name
	}
	k := someKey()
	k.Outputs = []string{"/nix/store/b", "/nix/store/a"}
	assert.Equal(t, someKey().Hash(), k.Hash(), "the order of outputs means nothing")
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
		require.NoError(t, s.Put(someKey(), o), name)
		_, ok := s.Get(someKey())
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
		require.NoError(t, s.Put(someKey(), failed))
		path := entries(t, s.Dir)[0]
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, damage(data), 0o644))
		_, ok := s.Get(someKey())
		assert.False(t, ok, name)
		assert.Len(t, said, 1, name)

		require.NoError(t, s.Put(someKey(), failed), name)
		_, ok = s.Get(someKey())
		assert.True(t, ok, "%s: written anew, it is good again", name)
	}
}

func TestAnEntryOfAnotherKeyIsNotTaken(t *testing.T) {
	s := newStore(t)
	var said int
	s.Warn = func(error) { said++ }
	other := someKey()
	other.Kernel = "other"
	require.NoError(t, s.Put(other, failed))
	data, err := os.ReadFile(entries(t, s.Dir)[0])
	require.NoError(t, err)
	require.NoError(t, s.Put(someKey(), failed))
	h := someKey().Hash()
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, h[:2], h[2:]+".json"), data, 0o644))
	_, ok := s.Get(someKey())
	assert.False(t, ok)
	assert.Equal(t, 1, said)
}

func TestAFolderThatCannotBeWrittenIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	s := &memo.Store{Dir: file}
	require.Error(t, s.Put(someKey(), failed))
}

func TestPruneRemovesWhatIsOldThenWhatIsTooMuch(t *testing.T) {
	s := newStore(t)
	now := noon
	s.Now = func() time.Time { return now }
	key := func(i int) memo.Key { k := someKey(); k.Kernel = strconv.Itoa(i); return k }
	for i := range 10 {
		require.NoError(t, s.Put(key(i), failed))
		now = noon.Add(time.Duration(i) * time.Hour)
		_, ok := s.Get(key(i))
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
	_, ok := s.Get(key(4)) // used again, so it is not the next to go
	require.True(t, ok)
	done, err = s.Prune(0, 2*one+one/2)
	require.NoError(t, err)
	assert.Equal(t, 2, done.Kept)
	for i, want := range map[int]bool{4: true, 9: true, 8: false, 5: false} {
		_, ok := s.Get(key(i))
		assert.Equal(t, want, ok, i)
	}

	done, err = (&memo.Store{Dir: filepath.Join(t.TempDir(), "none")}).Prune(time.Hour, 1)
	require.NoError(t, err)
	assert.Equal(t, memo.Pruned{}, done)
}

// TestSeveralProcessesShareAFolder runs this test binary as the other processes.
func TestSeveralProcessesShareAFolder(t *testing.T) {
	const keys, rounds = 5, 60
	key := func(i int) memo.Key { k := someKey(); k.Kernel = strconv.Itoa(i); return k }
	work := func(s *memo.Store) (bad error) {
		s.Warn = func(err error) { bad = err }
		for i := range rounds {
			k := key(i % keys)
			if err := s.Put(k, failed); err != nil {
				return err
			}
			if o, ok := s.Get(k); ok && o.Reason != failed.Reason {
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
