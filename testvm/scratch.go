package testvm

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/tempdir"
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

// scratch is a folder that lives while a machine starts. Should this process
// be killed in that moment, a shell that waits for its end removes the folder;
// should both be killed, the next machine that starts sweeps it away: the
// folder's lock is free then.
type scratch struct {
	dir     string
	lock    *os.File
	janitor *os.File // a line written here sends the shell home
}

func newScratch() (*scratch, error) {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	s := &scratch{dir: filepath.Join(scratchRoot(), scratchPrefix+hex.EncodeToString(random[:]))}
	s.janitor = startJanitor(s.dir)
	err := os.Mkdir(s.dir, 0o700)
	if err == nil {
		s.lock, err = tempdir.Lock(s.dir)
	}
	if err != nil {
		s.remove()
		return nil, fmt.Errorf("create scratch folder: %w", err)
	}
	return s, nil
}

// startJanitor has a shell remove the folder when this process is killed. It
// returns nil where there is none: then only Sweep does.
func startJanitor(dir string) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", `read line || rm -rf -- "$0"`, dir)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is not meant for it
	if cmd.Start() != nil {
		w.Close()
		return nil
	}
	go func() { _ = cmd.Wait() }() // its work is done or not: nobody asks
	return w
}

func (s *scratch) remove() {
	os.RemoveAll(s.dir)
	if s.lock != nil {
		s.lock.Close()
	}
	if s.janitor != nil {
		_, _ = s.janitor.WriteString("\n")
		s.janitor.Close()
	}
}

// Sweep removes the scratch folders that killed processes left, and returns
// how many those were. Start does so too.
func Sweep() int { return tempdir.Sweep(scratchRoot(), scratchPrefix) }

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
