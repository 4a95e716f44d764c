package testvm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/testvm/console"
)

// Method is how a fresh guest comes about.
type Method string

// The methods, the cheapest first.
const (
	// Fork maps the memory of a guest that was booted once, copy on write.
	Fork Method = "fork"
	// Migrate loads a copy of that memory.
	Migrate Method = "migrate"
	// Cold boots.
	Cold Method = "cold"
)

// Snapshot is a guest that stands still at its shell, and of which any number
// of guests can go on. It holds no process and no file with a name: its
// memory, its device state and its disks' overlays are anonymous files.
type Snapshot struct {
	method Method
	base   Machine // with the disks and the memory of the snapshot
	state  *os.File
	size   int64
	held   []*os.File

	console int
	tools   tools
	seq     int

	reservation *Reservation
	closing     sync.Once
}

// Method is how its guests come about: Fork or Migrate.
func (s *Snapshot) Method() Method { return s.method }

// StateBytes is the size of what a fork has to load.
func (s *Snapshot) StateBytes() int64 { return s.size }

// forkable prepares a machine that is to be frozen: its memory in a file that forks
// can map, its disks and UEFI variables in overlays that stay when it ends.
func (m Machine) forkable(ctx context.Context, method Method) (Machine, []*os.File, error) {
	var held []*os.File
	fail := func(err error) (Machine, []*os.File, error) {
		closeAll(held)
		return Machine{}, nil, err
	}
	if method == Fork {
		fd, err := unix.MemfdCreate("guest-memory", unix.MFD_CLOEXEC)
		if err != nil {
			return fail(fmt.Errorf("create guest memory: %w", err))
		}
		ram := os.NewFile(uintptr(fd), "guest-memory")
		held = append(held, ram)
		if err := ram.Truncate(int64(m.memory()) << 20); err != nil {
			return fail(fmt.Errorf("size guest memory: %w", err))
		}
		m.ram, m.ramShare = &File{Handle: ram}, true
	}
	m.Disks = slices.Clone(m.Disks)
	for i, d := range m.Disks {
		overlay, err := d.overlay(ctx)
		if err != nil {
			return fail(err)
		}
		held = append(held, overlay)
		m.Disks[i] = Disk{File: File{Handle: overlay}, Format: "qcow2", Write: true}
	}
	if m.Firmware == UEFI {
		vars, err := copyVars(m.Vars)
		if err != nil {
			return fail(err)
		}
		held = append(held, vars)
		m.Vars = &File{Handle: vars}
	}
	return m, held, nil
}

// overlay makes a file over the disk that takes what is written to it.
func (d Disk) overlay(ctx context.Context) (*os.File, error) {
	f, err := unnamedFile(scratchRoot())
	if err != nil {
		return nil, err
	}
	fds := &inherited{first: 4}
	format := d.Format
	if format == "" {
		format = "raw"
	}
	cmd := &proc.Cmd{
		Path: "qemu-img",
		// A disk without a name is opened through this process's descriptor
		// by whoever opens the overlay: QEMU inherits it under another number.
		Args:       []string{"create", "-q", "-f", "qcow2", "-F", format, "-b", fds.name(d.File), "/dev/fd/3"},
		ExtraFiles: append([]*os.File{f}, fds.files...),
	}
	if d.File.Handle != nil {
		cmd.Args[7] = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), d.File.Handle.Fd())
	}
	if err := cmd.Run(ctx); err != nil {
		f.Close()
		return nil, &LaunchError{What: "no overlay for a disk", Mend: "is its format right?", Err: err}
	}
	return f, nil
}

// copyVars copies UEFI variables into an anonymous file.
func copyVars(from *File) (*os.File, error) {
	path := ovmfVars()
	if from != nil {
		path = from.Path
		if from.Handle != nil {
			path = fmt.Sprintf("/proc/self/fd/%d", from.Handle.Fd())
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("copy UEFI variables: %w", err)
	}
	return anonymousFile("vars", content)
}

// freeze stops a guest at its shell and takes its state. The guest ends.
func freeze(ctx context.Context, s *Session, method Method) (*Snapshot, error) {
	s.oneAt.Lock()
	defer s.oneAt.Unlock()
	q := s.g.QMP
	if err := q.Do(ctx, "stop", nil, nil); err != nil {
		return nil, err
	}
	if err := setCapabilities(ctx, q, method); err != nil {
		return nil, err
	}
	state, err := anonymousFile("guest-state", nil)
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{method: method, base: s.g.Machine, state: state, console: s.console, tools: s.tools, seq: s.seq}
	if err := snap.save(ctx, s.g); err != nil {
		state.Close()
		return nil, err
	}
	s.g.Kill()
	return snap, nil
}

// setCapabilities switches on what the method needs. x-ignore-shared is
// experimental: a QEMU may not have it.
func setCapabilities(ctx context.Context, q *QMP, method Method) error {
	type capability struct {
		Capability string `json:"capability"`
		State      bool   `json:"state"`
	}
	var have []capability
	if err := q.Do(ctx, "query-migrate-capabilities", nil, &have); err != nil {
		return err
	}
	want := []capability{{"events", true}}
	if method == Fork {
		want = append(want, capability{"x-ignore-shared", true})
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h capability) bool { return h.Capability == w.Capability }) {
			return fmt.Errorf("this QEMU has no migration capability %s", w.Capability)
		}
	}
	return q.Do(ctx, "migrate-set-capabilities", map[string]any{"capabilities": want}, nil)
}

// save writes the guest's state. It goes through a pipe, which every version
// of QEMU takes for a migration.
func (s *Snapshot) save(ctx context.Context, g *Guest) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	copied := make(chan error, 1)
	go func() {
		n, err := io.Copy(s.state, r)
		s.size = n
		r.Close()
		copied <- err
	}()
	err = g.QMP.GiveFile(ctx, "state", w)
	w.Close()
	if err == nil {
		err = g.migrate(ctx, "migrate", "fd:state")
	}
	if err != nil {
		g.Kill() // its end of the pipe goes with it
		<-copied
		return fmt.Errorf("save snapshot: %w", err)
	}
	// QEMU closes its end when the migration has completed.
	select {
	case err = <-copied:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	return nil
}

// migrate starts a migration and waits for the event of its end.
func (g *Guest) migrate(ctx context.Context, command, uri string) error {
	ended := make(chan string, 8)
	g.mu.Lock()
	g.migration = ended
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.migration = nil
		g.mu.Unlock()
	}()
	if err := g.QMP.Do(ctx, command, map[string]string{"uri": uri}, nil); err != nil {
		return err
	}
	for {
		select {
		case status := <-ended:
			switch status {
			case "completed":
				return nil
			case "failed", "cancelled":
				var info struct {
					Why string `json:"error-desc"`
				}
				_ = g.QMP.Do(ctx, "query-migrate", nil, &info) // only for its words
				return fmt.Errorf("qmp %s: %s: %s", command, status, info.Why)
			}
		case <-g.exited:
			return fmt.Errorf("qmp %s: QEMU ended", command)
		case <-ctx.Done():
			return fmt.Errorf("qmp %s: %w", command, ctx.Err())
		}
	}
}

// load gives a waiting QEMU the state.
func (s *Snapshot) load(ctx context.Context, g *Guest) error {
	if err := setCapabilities(ctx, g.QMP, s.method); err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	go func() {
		// Each fork reads from the beginning, so none may move the others'
		// place. A failure shows as a migration that fails.
		_, _ = io.Copy(w, io.NewSectionReader(s.state, 0, s.size))
		w.Close()
	}()
	err = g.QMP.GiveFile(ctx, "state", r)
	r.Close()
	if err == nil {
		err = g.migrate(ctx, "migrate-incoming", "fd:state")
	}
	if err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	return nil
}

// Fork lets a copy of the guest go on. Its clock is set to the host's, and
// its random number generator is given something that no other copy has.
func (s *Snapshot) Fork(ctx context.Context) (*Guest, *Session, error) {
	m := s.base
	m.restore = s
	if m.ram != nil {
		m.ramShare = false
	}
	m.Disks = slices.Clone(m.Disks)
	for i := range m.Disks {
		m.Disks[i].Write = false
	}
	m.varsOverlay = true
	g, err := m.Start(ctx)
	if err != nil {
		return nil, nil, err
	}
	session := newSession(g)
	session.console, session.tools, session.seq = s.console, s.tools, s.seq
	session.line(s.wakeUp())
	for _, stage := range console.Stages {
		if stage == console.StageReady {
			g.log.Reach(stage, g.since())
		}
	}
	return g, session, nil
}

// wakeUp tells a guest that it has slept.
func (s *Snapshot) wakeUp() string {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	var octal strings.Builder
	for _, b := range seed {
		fmt.Fprintf(&octal, `\0%03o`, b)
	}
	line := fmt.Sprintf(`printf '%%b' '%s' 2>$_i >/dev/urandom;[ -x $_o.r ]&&$_o.r </dev/urandom >$_i 2>&1`, octal.String())
	if s.tools.date != "" {
		line = fmt.Sprintf("%s -s @%d >$_i 2>&1;", s.tools.date, time.Now().Unix()) + line
	}
	return line
}

// Close gives the memory and the disks of the snapshot back. Guests that go on
// already are not concerned.
func (s *Snapshot) Close() {
	if s == nil {
		return
	}
	s.closing.Do(func() {
		s.state.Close()
		closeAll(s.held)
		s.reservation.Release()
	})
}

// Source gives fresh guests of one machine, each at its shell, in the cheapest
// way that was seen to work.
type Source struct {
	// Machine is what is started.
	Machine Machine
	// Notes say which ways did not work, and why.
	Notes []string
	// Boot is the ending of the boot that the snapshot was taken from, and
	// Consoles what it said, by console.
	Boot     Ending
	Consoles map[string][]byte

	snapshot *Snapshot
	boots    int
	forks    int
	mu       sync.Mutex
}

// Prepare boots a machine once, takes a snapshot at its shell and tries it:
// the copy must answer, know the time and have a disk it can use. If it does not,
// a plain migration is tried, and if that fails too, each guest is booted.
//
// The error is that of a boot: ErrGuestEnded with the Ending in Source.Boot, a
// LaunchError, or the context's.
func Prepare(ctx context.Context, m Machine) (*Source, error) {
	src := &Source{Machine: m.withFirmware()}
	for _, method := range []Method{Fork, Migrate} {
		snap, err := src.prepare(ctx, method)
		if err == nil {
			src.snapshot = snap
			return src, nil
		}
		var broken *methodError
		if !errors.As(err, &broken) {
			return src, err
		}
		src.Notes = append(src.Notes, fmt.Sprintf("guests are not made by %s: %v", method, broken.err))
	}
	src.Notes = append(src.Notes, "each guest is booted")
	return src, nil
}

// methodError says that a way to make guests does not work; the guest itself
// is not concerned.
type methodError struct{ err error }

func (e *methodError) Error() string { return e.err.Error() }
func (e *methodError) Unwrap() error { return e.err }

func (src *Source) prepare(ctx context.Context, method Method) (*Snapshot, error) {
	m, held, err := src.Machine.forkable(ctx, method)
	if err != nil {
		return nil, &methodError{err}
	}
	keep := false
	defer func() {
		if !keep {
			closeAll(held)
		}
	}()
	g, err := m.Start(ctx)
	if err != nil {
		if method == Fork && ctx.Err() == nil && isLaunch(err) {
			return nil, &methodError{err} // a board without this kind of memory
		}
		return nil, err
	}
	src.boots++
	defer func() { // it has ended by then
		src.Consoles = map[string][]byte{}
		for _, name := range Consoles {
			src.Consoles[name] = g.Console(name).Bytes()
		}
	}()
	s, err := g.Session(ctx)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrGuestEnded) {
			src.Boot = g.Wait()
		} else {
			src.Boot = g.Kill()
		}
		return nil, err
	}
	s.settle(ctx)
	snap, err := freeze(ctx, s, method)
	src.Boot = g.Kill()
	if err != nil {
		return nil, &methodError{err}
	}
	snap.held, keep = held, true
	// Its memory stays, and counts. Where there is no room for it, the first
	// guest waits or is refused.
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r, err := snap.base.Budget.Reserve(soon, snap.base.memory(), 0); err == nil {
		snap.reservation = r
	}
	notes, err := snap.try(ctx)
	src.Notes = append(src.Notes, notes...)
	if err != nil {
		snap.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &methodError{fmt.Errorf("a copy of the guest misbehaves: %w", err)}
	}
	return snap, nil
}

func isLaunch(err error) bool {
	var l *LaunchError
	return errors.As(err, &l)
}

// settle writes what the guest has not written yet, so that its forks find it
// on disk, and gives it the program that they need to reseed.
func (s *Session) settle(ctx context.Context) {
	s.oneAt.Lock()
	defer s.oneAt.Unlock()
	// A guest that takes neither is none the worse; the self-test tells.
	_ = s.upload(ctx, s.tools.base+".r", reseedProgram(), 0o700)
	s.ready()
	s.line("$(_f sync)")
	_ = s.confirm(ctx)
}

// reseedProgram is a program that has Linux reseed its random number generator
// now: ioctl(0, RNDRESEEDCRNG), exit. What is written to /dev/urandom alone
// shows only at the next periodic reseeding: measured, three of four forks then
// read the same "random" bytes.
func reseedProgram() []byte {
	const base, headers = 0x400000, 64 + 56
	code := []byte{
		0xb8, 16, 0, 0, 0, // mov eax, SYS_ioctl
		0x31, 0xff, // xor edi, edi
		0xbe, 0x07, 0x52, 0, 0, // mov esi, RNDRESEEDCRNG
		0x31, 0xd2, // xor edx, edx
		0x0f, 0x05, // syscall
		0x89, 0xc7, 0xf7, 0xdf, // mov edi, eax; neg edi
		0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
		0x0f, 0x05, // syscall
	}
	size := uint64(headers + len(code))
	p := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le := binary.LittleEndian
	p = le.AppendUint16(p, 2)            // executable
	p = le.AppendUint16(p, 62)           // x86-64
	p = le.AppendUint32(p, 1)            // version
	p = le.AppendUint64(p, base+headers) // entry
	p = le.AppendUint64(p, 64)           // program headers
	p = le.AppendUint64(p, 0)            // no sections
	p = le.AppendUint32(p, 0)            // flags
	for _, n := range []uint16{64, 56, 1, 64, 0, 0} {
		p = le.AppendUint16(p, n)
	}
	p = le.AppendUint32(p, 1) // load
	p = le.AppendUint32(p, 5) // read and execute
	for _, n := range []uint64{0, base, base, size, size, 0x1000} {
		p = le.AppendUint64(p, n)
	}
	return append(p, code...)
}

// tried bounds the trial of two forks, with KVM: half a second was measured
// without.
const tried = 4 * time.Second

// clockSlack is how far a fork's clock may be off, for a busy host.
const clockSlack = 20 * time.Second

// try tells whether forks behave: two at once answer, know the time, can write,
// and do not have their random numbers in common. The last is only noted, and so
// is a clock that cannot be set: forks made later will be late by then.
func (s *Snapshot) try(ctx context.Context) (notes []string, err error) {
	limited, cancel := context.WithTimeout(ctx, s.base.Accel.scale(tried))
	defer cancel()
	var trials [2]trial
	var failed [2]error
	var both sync.WaitGroup
	for n := range trials {
		both.Go(func() { trials[n], failed[n] = s.tryOne(limited) })
	}
	both.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return nil, err
	}
	if trials[0].random != "" && trials[0].random == trials[1].random {
		notes = append(notes, "copies of the guest have their random numbers in common: its generator cannot be reseeded")
	}
	if !trials[0].clock {
		notes = append(notes, "copies of the guest start with the time at which it was frozen: its clock cannot be set")
	}
	return notes, nil
}

// trial is what a fork showed of itself.
type trial struct {
	random string // a checksum of random bytes
	clock  bool   // its clock can be set
}

func (s *Snapshot) tryOne(ctx context.Context) (trial, error) {
	g, session, err := s.Fork(ctx)
	if err != nil {
		return trial{}, err
	}
	defer g.Kill()
	ahead := time.Now().Add(24 * time.Hour).Unix()
	r, err := session.Run(ctx, Command{Name: "self-test", Run: fmt.Sprintf(
		"echo alive; date +%%s; %s if=/dev/urandom bs=16 count=1 2>/dev/null | %s; %s -s @%d >/dev/null 2>&1; date +%%s",
		session.tools.dd, session.tools.sum, session.tools.date, ahead)})
	if err != nil {
		return trial{}, err
	}
	lines := strings.Split(string(r.Output), "\n")
	if lines[0] != "alive" || len(lines) < 4 || r.Notes != nil {
		return trial{}, fmt.Errorf("it answers %q %v", r.Output, r.Notes)
	}
	seconds, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return trial{random: lines[2], clock: true}, nil // without date nobody asks for the time
	}
	if off := time.Since(time.Unix(seconds, 0)).Abs(); off > clockSlack {
		return trial{}, fmt.Errorf("its clock is %v off", off.Round(time.Second))
	}
	set, _ := strconv.ParseInt(lines[3], 10, 64) // it has said a number before
	return trial{random: lines[2], clock: set >= ahead}, nil
}

// Method is how its guests come about.
func (src *Source) Method() Method {
	if src.snapshot == nil {
		return Cold
	}
	return src.snapshot.method
}

// Fresh returns a guest at its shell that nobody has used.
func (src *Source) Fresh(ctx context.Context) (*Guest, *Session, error) {
	src.mu.Lock()
	if src.snapshot != nil {
		src.forks++
	} else {
		src.boots++
	}
	src.mu.Unlock()
	if src.snapshot != nil {
		return src.snapshot.Fork(ctx)
	}
	g, err := src.Machine.Start(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := g.Session(ctx)
	return g, s, err
}

// Counts are the boots and the forks so far.
func (src *Source) Counts() (boots, forks int) {
	src.mu.Lock()
	defer src.mu.Unlock()
	return src.boots, src.forks
}

// Close ends the source. Its guests are not concerned.
func (src *Source) Close() { src.snapshot.Close() }
