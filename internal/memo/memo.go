// Package memo remembers outcomes of cases on disk, under a hash of everything
// they depend on.
//
// An entry is one file. It is written beside its place and renamed, so any
// number of processes may share a folder, and a reader never sees half an
// entry. What could not be looked at, what ran out of time and what
// was cancelled is never remembered: it says nothing of the case.
package memo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
)

// Key is everything an outcome depends on. Leave nothing out: two keys that are
// equal share one outcome.
type Key struct {
	Case checks.Case
	// Outputs are the store paths of what is built, booted or installed; for
	// an evaluation, the hash of all that it may read.
	Outputs []string
	// Kernel is the SHA-256 of the kernel image; Params are its parameters.
	Kernel string
	Params []string
	// Definition is a hash of the case's own definition, and of those that
	// run before it in the same machine where they depend on each other.
	Definition string
	// Profile is a hash of the whole machine profile, overrides included.
	Profile string
	// Accelerator is "kvm" or "tcg".
	Accelerator string
	// Versions are those of asterbot, QEMU, firmware and Nix, as far as they
	// take part.
	Versions map[string]string
}

// Hash is the name of the key's entry.
func (k Key) Hash() string {
	h := sha256.New()
	// Lengths keep fields apart whatever they hold; JSON would not do, since it
	// makes different invalid UTF-8 equal.
	put := func(values ...string) {
		fmt.Fprintf(h, "%d;", len(values))
		for _, v := range values {
			fmt.Fprintf(h, "%d:", len(v))
			io.WriteString(h, v)
		}
	}
	put("asterbot/memo/1")
	put(string(k.Case.Kind), k.Case.Subject, k.Case.Name)
	put(slices.Sorted(slices.Values(k.Outputs))...)
	put(k.Kernel)
	put(k.Params...) // their order means something
	put(k.Definition)
	put(k.Profile)
	put(k.Accelerator)
	for _, name := range slices.Sorted(maps.Keys(k.Versions)) {
		put(name, k.Versions[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Store is a folder of remembered outcomes.
type Store struct {
	// Dir is made when it is first needed.
	Dir string
	// Warn, if set, is told of entries that cannot be used. They count as not
	// remembered.
	Warn func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// maxEntry bounds an entry, in bytes: an outcome with its last lines is a few
// thousand.
const maxEntry = 1 << 20

// entry is the content of a file, below a line with its checksum.
type entry struct {
	Key         string         `json:"key"`
	Established time.Time      `json:"established"`
	Outcome     checks.Outcome `json:"outcome"`
}

// Memorable reports whether an outcome may be remembered: it passed, failed or
// was skipped, and neither time nor surroundings had a part in it.
func Memorable(o checks.Outcome) bool {
	switch o.Status {
	case checks.Pass, checks.Fail, checks.Skip:
		return !o.Infra && !o.TimedOut
	}
	return false
}

// Get returns the outcome remembered for a key, with the time at which it was
// established.
func (s *Store) Get(k Key) (checks.Outcome, bool) {
	name := k.Hash()
	path := s.path(name)
	e, err := read(path, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checks.Outcome{}, false
	case err != nil:
		s.warn(fmt.Errorf("read remembered outcome of %s %s: %w; it counts as not remembered", k.Case.Kind, k.Case.Subject, err))
		return checks.Outcome{}, false
	}
	// Prune goes by last use. That another process pruned it just now, or that
	// the folder is read-only, costs nothing.
	now := s.now()
	_ = os.Chtimes(path, now, now)
	e.Outcome.Remembered = &e.Established
	return e.Outcome, true
}

func read(path, name string) (*entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxEntry {
		return nil, fmt.Errorf("more than %d bytes", maxEntry)
	}
	sum, body, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != checksum(body) {
		return nil, errors.New("damaged: its checksum does not match")
	}
	var e entry
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if e.Key != name || e.Established.IsZero() || !Memorable(e.Outcome) {
		return nil, errors.New("not an entry of this key")
	}
	return &e, nil
}

// Put remembers an outcome. One that may not be remembered is left out without
// an error, and so is one that was itself remembered. Paths of logs and
// screenshots are not kept: they belong to a report.
func (s *Store) Put(k Key, o checks.Outcome) error {
	if !Memorable(o) || o.Remembered != nil {
		return nil
	}
	o.Log, o.Image = "", ""
	name := k.Hash()
	body, err := json.Marshal(entry{Key: name, Established: s.now().UTC().Truncate(time.Second), Outcome: o})
	if err != nil {
		return fmt.Errorf("remember outcome: %w", err)
	}
	body = append(body, '\n')
	if len(body) > maxEntry-100 {
		return fmt.Errorf("remember outcome of %s %s: %d bytes are too many", k.Case.Kind, k.Case.Subject, len(body))
	}
	if err := write(s.path(name), append([]byte(checksum(body)+"\n"), body...)); err != nil {
		return fmt.Errorf("remember outcome: %w", err)
	}
	return nil
}

// write makes a file appear as a whole.
func write(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

const temporary = ".new-"

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// path shards entries into 256 folders.
func (s *Store) path(name string) string { return filepath.Join(s.Dir, name[:2], name[2:]+".json") }

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) warn(err error) {
	if s.Warn != nil {
		s.Warn(err)
	}
}

// Pruned says what Prune did.
type Pruned struct {
	Removed, Kept int
	// Bytes are those of the entries that are left.
	Bytes int64
}

// Prune removes entries that were not used for maxAge, then those longest
// unused until the rest has at most maxBytes. A bound of zero is none. Other
// processes may use the folder meanwhile.
func (s *Store) Prune(maxAge time.Duration, maxBytes int64) (Pruned, error) {
	type file struct {
		path string
		used time.Time
		size int64
	}
	var files []file
	var done Pruned
	remove := func(path string) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		done.Removed++
		return nil
	}
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not made yet, or pruned by someone else
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		age := s.now().Sub(info.ModTime())
		switch {
		case strings.HasPrefix(d.Name(), temporary):
			if age > time.Hour { // of a process that was killed
				return remove(path)
			}
		case maxAge > 0 && age > maxAge:
			return remove(path)
		default:
			files = append(files, file{path, info.ModTime(), info.Size()})
			done.Bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("prune remembered outcomes: %w", err)
	}
	done.Kept = len(files)
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	for _, f := range files {
		if maxBytes == 0 || done.Bytes <= maxBytes {
			break
		}
		if err := remove(f.path); err != nil {
			return done, fmt.Errorf("prune remembered outcomes: %w", err)
		}
		done.Kept--
		done.Bytes -= f.size
	}
	return done, nil
}
