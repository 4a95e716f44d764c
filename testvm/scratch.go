package testvm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scratchPrefix begins the name of every folder a machine makes.
const scratchPrefix = "asterbot-vm-"

// scratchRoot is where a machine keeps what needs a name for a moment, and its
// disks' overlays, which are too big for a /tmp in memory.
func scratchRoot() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	if s, err := os.Stat("/var/tmp"); err == nil && s.IsDir() {
		return "/var/tmp"
	}
	return os.TempDir()
}

// scratchGrace is how long a folder may go without its lock.
const scratchGrace = 10 * time.Second

// scratch is a folder that lives while a machine starts. A process that is
// killed in that moment leaves it behind; its lock is free then, and the next machine
// that starts sweeps it away.
type scratch struct {
	dir  string
	lock *os.File
}

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp(scratchRoot(), scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("create scratch folder: %w", err)
	}
	lock, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("lock scratch folder: %w", err)
	}
	return &scratch{dir, lock}, nil
}

func (s *scratch) remove() {
	os.RemoveAll(s.dir)
	s.lock.Close()
}

// Sweep removes the scratch folders that killed processes left, and returns
// how many those were. Start does so too.
func Sweep() int {
	entries, err := os.ReadDir(scratchRoot())
	if err != nil {
		return 0
	}
	swept := 0
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), scratchPrefix) {
			continue
		}
		dir := filepath.Join(scratchRoot(), e.Name())
		info, err := e.Info()
		// One that was made just now may not be locked yet.
		if err != nil || time.Since(info.ModTime()) < scratchGrace {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			if os.RemoveAll(dir) == nil {
				swept++
			}
		}
		f.Close()
	}
	return swept
}

// unnamedFile is an empty file on disk that no name leads to.
func unnamedFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "unnamed"), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("create unnamed file in %s: %w", dir, err)
	}
	f, err := os.CreateTemp(dir, scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("create unnamed file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink %s: %w", f.Name(), err)
	}
	return f, nil
}
