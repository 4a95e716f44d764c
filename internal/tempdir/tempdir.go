// Package tempdir makes temporary folders that a killed process leaves to the
// next one to remove.
//
// A folder is its maker's as long as the lock on it is held, which the kernel
// releases with the process. Process ids would not do: a container sees others
// than its host, and both may share /tmp and /dev/shm.
package tempdir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Folder is a temporary folder of this process.
type Folder struct {
	// Path is absolute, unless the parent given was not.
	Path string
	lock *os.File
}

// New sweeps the parent folder, and makes an empty folder there. The prefix tells
// the folders of one kind from others; empty means the system's folder for
// temporary files.
func New(parent, prefix string) (*Folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	Sweep(parent, prefix)
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	f := &Folder{Path: dir}
	if f.lock, err = Lock(dir); err != nil {
		_ = f.Remove()
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	return f, nil
}

// Remove removes the folder and what is in it.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.Path)
	if f.lock != nil {
		f.lock.Close()
	}
	return err
}

// Lock takes the lock that keeps a folder from being swept away. It is held until
// the file is closed or the process ends.
func Lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
	}
	return f, nil
}

// grace is how long a folder may go without its lock: its maker may not have come
// to that yet.
const grace = 10 * time.Second

// Sweep removes the folders whose names begin with the prefix and that nobody
// holds, and returns how many those were. What cannot be removed stays.
func Sweep(parent, prefix string) int {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return 0
	}
	swept := 0
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < grace {
			continue
		}
		lock, err := Lock(dir)
		if err != nil {
			continue
		}
		if os.RemoveAll(dir) == nil {
			swept++
		}
		lock.Close()
	}
	return swept
}
