// Package memo remembers outcomes of cases on disk, under a key that stands for
// everything they depend on.
//
// A key is any string; whoever makes it leaves nothing out that the outcome
// depends on, since equal keys share one outcome.
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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
)

// Store is a folder of remembered outcomes.
type Store struct {
	// Dir is made when it is first needed.
	Dir string
	// Warn, if set, is told of entries that cannot be read or written. They
	// count as not remembered: a memo that fails costs time, not truth.
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

// Load returns the outcome remembered for a key, with the time at which it was
// established in Remembered.
func (s *Store) Load(key string) (checks.Outcome, bool) {
	name := checksum([]byte(key))
	path := s.path(name)
	e, err := read(path, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checks.Outcome{}, false
	case err != nil:
		s.warn(fmt.Errorf("read remembered outcome %s: %w; it counts as not remembered", path, err))
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

// Store remembers an outcome. One that is not Memorable is left out, and so is
// one that was itself remembered. Paths of logs and screenshots are not kept:
// they belong to a report.
func (s *Store) Store(key string, o checks.Outcome) {
	if !Memorable(o) || o.Remembered != nil {
		return
	}
	o.Log, o.Image = "", ""
	name := checksum([]byte(key))
	body, err := json.Marshal(entry{Key: name, Established: s.now().UTC().Truncate(time.Second), Outcome: o})
	if err == nil && len(body) > maxEntry-100 {
		err = fmt.Errorf("%d bytes are too many", len(body))
	}
	if err == nil {
		err = write(s.path(name), append([]byte(checksum(body)+"\n"), body...))
	}
	if err != nil {
		s.warn(fmt.Errorf("remember outcome: %w", err))
	}
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
