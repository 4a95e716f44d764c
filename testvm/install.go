package testvm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/asterinas/asterbot/testvm/console"
)

// Installer boots an ISO image with a blank disk, and tells whether what runs
// there installed a system.
//
// How the machine ends cannot tell it: an installer that fails may power off
// just like one that succeeds. Success is what the installer says, and a good
// power-off.
type Installer struct {
	// Machine has the CDROM and the profile of the kernel that the installer
	// runs on, which need not be the one that it installs.
	Machine Machine
	// DiskMiB is the size of the blank disk.
	DiskMiB int
	// Success is printed when and only when the installation succeeded, Failure
	// when it failed. Stages are printed on the way, in this order.
	Success, Failure *regexp.Regexp
	Stages           []*regexp.Regexp
	// Timeout and Silence bound the installation, with KVM; zero are 10 and 1
	// minutes. A guest that uses its disk is not silent.
	Timeout, Silence time.Duration
}

// Installation is how an installation went.
type Installation struct {
	// OK: the installer said so, and powered off.
	OK bool
	// Reason is one sentence, and Reached the stages that were seen.
	Reason  string
	Reached []Mark
	// Ending is that of the installer's machine, Guest the machine itself,
	// for its consoles.
	Ending Ending
	Guest  *Guest

	disk, vars *os.File
}

// Mark is a stage of the installation that was seen.
type Mark struct {
	// Stage is an index into Installer.Stages, Line what matched.
	Stage int
	Line  string
	At    time.Duration
}

// lastWords is how long an installer that said that it failed may go on.
const lastWords = time.Second

// Run installs. The error is a LaunchError or the context's; how the installer
// fared is told by the Installation, which must be closed.
func (i Installer) Run(ctx context.Context) (*Installation, error) {
	disk, err := unnamedFile(scratchRoot())
	if err != nil {
		return nil, &LaunchError{What: "no disk to install on", Mend: "set TMPDIR", Err: err}
	}
	in := &Installation{disk: disk}
	size := i.DiskMiB
	if size == 0 {
		size = 4 << 10
	}
	if err := disk.Truncate(int64(size) << 20); err != nil {
		in.Close()
		return nil, &LaunchError{What: "no disk to install on", Err: err}
	}
	m := i.Machine
	m.Disks = append([]Disk{{File: File{Handle: disk}, Write: true}}, m.Disks...)
	if m.Firmware == UEFI {
		if in.vars, err = copyVars(m.Vars); err != nil {
			in.Close()
			return nil, &LaunchError{What: "no UEFI variables", Err: err}
		}
		m.Vars = &File{Handle: in.vars}
	}
	marks := newMarks(i)
	failed := make(chan struct{})
	watch := m.Watch
	m.Watch = func(name string, p []byte) {
		if marks.hear(name, p) {
			close(failed)
		}
		if watch != nil {
			watch(name, p)
		}
	}
	m.Profile.Boot, m.Profile.Silence = orElse(i.Timeout, 10*time.Minute), orElse(i.Silence, time.Minute)
	g, err := m.Start(ctx)
	if err != nil {
		in.Close()
		return nil, err
	}
	marks.mu.Lock()
	marks.since = g.since // consoles are listened to already
	marks.mu.Unlock()
	in.Guest = g
	select {
	case <-g.done:
	case <-failed:
		// It may power off by itself, or wait at a shell for someone who
		// is not there.
		select {
		case <-g.done:
		case <-time.After(g.Machine.Accel.scale(lastWords)):
			g.Kill()
		}
	}
	in.Ending = g.Wait()
	in.OK, in.Reason, in.Reached = marks.verdict(in.Ending)
	return in, nil
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// Installed is a machine that boots the disk. What it writes is not kept, so
// any number may boot it.
func (in *Installation) Installed(m Machine) Machine {
	m.Disks = append([]Disk{{File: File{Handle: in.disk}}}, m.Disks...)
	m.Kernel, m.CDROM = nil, ""
	if in.vars != nil {
		m.Firmware, m.Vars, m.varsOverlay = UEFI, &File{Handle: in.vars}, true
	}
	return m
}

// Close gives the disk back.
func (in *Installation) Close() {
	for _, f := range []*os.File{in.disk, in.vars} {
		if f != nil {
			f.Close()
		}
	}
}

// marks follows what an installer says, line by line on each console.
type marks struct {
	i     Installer
	since func() time.Duration

	mu       sync.Mutex
	lines    map[string][]byte
	reached  []Mark
	success  string
	failure  string
	lastLine string
}

func newMarks(i Installer) *marks {
	return &marks{i: i, lines: map[string][]byte{}, since: func() time.Duration { return 0 }}
}

// maxMarkLine bounds a line that does not end.
const maxMarkLine = 8 << 10

// hear reports whether the installer has just said that it failed.
func (m *marks) hear(name string, p []byte) (failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.failure
	text := append(m.lines[name], p...)
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 && len(text) < maxMarkLine {
			break
		}
		if i < 0 {
			i = len(text) - 1
		}
		m.line(text[:i])
		text = text[i+1:]
	}
	m.lines[name] = bytes.Clone(text)
	return before == "" && m.failure != ""
}

func (m *marks) line(raw []byte) {
	line := string(bytes.TrimSpace(console.Strip(raw)))
	if line == "" {
		return
	}
	m.lastLine = line
	// Both consoles may say the same: only what is new counts.
	for next := len(m.reached); next < len(m.i.Stages); next++ {
		if m.i.Stages[next].MatchString(line) {
			m.reached = append(m.reached, Mark{next, line, m.since()})
			break
		}
	}
	if m.i.Success != nil && m.i.Success.MatchString(line) {
		m.success = line
	}
	if m.i.Failure != nil && m.i.Failure.MatchString(line) && m.failure == "" {
		m.failure = line
	}
}

// verdict says how the installation went.
func (m *marks) verdict(e Ending) (bool, string, []Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rest := range m.lines {
		m.line(rest)
	}
	at := "before its first stage"
	if n := len(m.reached); n > 0 {
		at = fmt.Sprintf("after %q", m.reached[n-1].Line)
	}
	switch {
	case m.failure != "":
		return false, fmt.Sprintf("the installer said that it failed, %s: %q", at, m.failure), m.reached
	case e.Outcome != OK:
		return false, fmt.Sprintf("the installer's machine ended %s: %s", at, e), m.reached
	case m.success == "":
		return false, fmt.Sprintf("the installer powered off without saying that it succeeded, %s; its last words: %q", at, m.lastLine), m.reached
	default:
		return true, fmt.Sprintf("the installer succeeded: %q", m.success), m.reached
	}
}
