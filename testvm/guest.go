package testvm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/testvm/console"
)

// Guest is a machine that was started. It always ends: by itself, by a
// watchdog, by Stop or Kill, or with the context it was started with.
type Guest struct {
	Machine Machine
	QMP     *QMP

	ctx    func() error // why the context of Start ended, nil while it has not
	cmd    *proc.Cmd
	start  time.Time
	log    *console.Log
	queue  *queue
	tapes  []*Recording // of Consoles
	inputs []*os.File   // of Consoles
	spools sync.WaitGroup
	read   sync.WaitGroup // matcher and events
	poke   chan struct{}  // wakes the watchdog
	exited chan struct{}  // closed when QEMU has ended
	done   chan struct{}  // closed when the ending is known

	mu        sync.Mutex
	dog       watchdog
	facts     facts
	session   *Session
	viewer    func(console int, p []byte) // of a person who is attached
	last      time.Duration               // when a console last said something
	evidence  []Evidence
	shot      []byte
	notes     []string
	draining  bool
	migration chan<- string // who waits for the end of a migration

	reservation *Reservation
	ending      Ending
}

// launched bounds how long QEMU may take to answer: 0.04 s were measured, and
// seconds on a host that is busy starting many.
const launched = 30 * time.Second

// Start starts the machine. The error is a *LaunchError, or the context's:
// whatever the guest does is told by its Ending. The guest is killed when ctx
// ends.
func (m Machine) Start(ctx context.Context) (*Guest, error) {
	m = m.withFirmware()
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.Accel.Accelerator == "" {
		accel, err := Accelerate(ctx, m.QEMU, false)
		if err != nil {
			return nil, err
		}
		m.Accel = accel
	}
	if m.Budget == nil {
		m.Budget = hostBudget()
	}
	reservation, err := m.Budget.Reserve(ctx, m.memory()+overheadMiB, m.processors())
	if errors.Is(err, ErrTooBig) {
		return nil, &LaunchError{What: "not enough memory", Mend: "give the guest less memory, or the host more", Err: err}
	}
	if err != nil {
		return nil, err
	}
	g, err := m.launch(ctx)
	if err != nil {
		reservation.Release()
		return nil, err
	}
	g.reservation = reservation
	go g.wait()
	if err := g.begin(ctx); err != nil {
		g.halt(&cause{Infra, "QEMU refused to start the guest", err.Error()})
		<-g.done
		return nil, &LaunchError{What: "QEMU refused to start the guest", Err: err}
	}
	return g, nil
}

// check finds what can be said before anything is started.
func (m Machine) check() error {
	need := []struct{ what, path string }{}
	if m.Kernel != nil {
		need = append(need, struct{ what, path string }{"kernel", m.Kernel.Image})
		if m.Kernel.Initrd != "" {
			need = append(need, struct{ what, path string }{"initrd", m.Kernel.Initrd})
		}
	}
	if m.CDROM != "" {
		need = append(need, struct{ what, path string }{"ISO image", m.CDROM})
	}
	for _, d := range m.Disks {
		if d.File.Handle == nil {
			need = append(need, struct{ what, path string }{"disk", d.File.Path})
		}
	}
	if m.Firmware == UEFI {
		need = append(need, struct{ what, path string }{"UEFI firmware (OVMF)", ovmfCode()})
	}
	if m.Kernel == nil && m.CDROM == "" && len(m.Disks) == 0 {
		return &LaunchError{What: "there is nothing to boot", Mend: "give a kernel, a disk or an ISO image"}
	}
	for _, n := range need {
		f, err := os.Open(n.path)
		if err != nil {
			mend := "check the path and its permissions"
			if m.Firmware == UEFI && n.path == ovmfCode() {
				mend = "install OVMF (Debian: apt-get install ovmf), or set OVMF_CODE and OVMF_VARS"
			}
			return &LaunchError{What: n.what + " is not readable", Mend: mend, Err: err}
		}
		info, err := f.Stat()
		f.Close()
		if err == nil && info.IsDir() {
			return &LaunchError{What: n.what + " is a folder", Err: fmt.Errorf("read %s: is a directory", n.path)}
		}
	}
	if m.Kernel != nil {
		if err := knownKernel(m.Kernel.Image); err != nil {
			return &LaunchError{What: "kernel is not bootable", Mend: "give a bzImage or a multiboot ELF made for QEMU", Err: err}
		}
	}
	return enoughDisk(scratchRoot())
}

// minDisk is the free space below which a machine is not started: its disks'
// overlays grow there, and a full disk looks like the guest's fault.
const minDisk = 256 << 20

func enoughDisk(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return &LaunchError{What: "scratch folder is not usable", Mend: "set TMPDIR", Err: fmt.Errorf("stat %s: %w", dir, err)}
	}
	if free := int64(s.Bavail) * s.Bsize; free < minDisk {
		return &LaunchError{What: "disk is full", Mend: "free some space, or set TMPDIR",
			Err: fmt.Errorf("%d MiB are free in %s, %d are needed", free>>20, dir, minDisk>>20)}
	}
	return nil
}

// launch starts QEMU, stopped, and takes over its QMP.
func (m Machine) launch(ctx context.Context) (_ *Guest, err error) {
	Sweep()
	scratch, err := newScratch()
	if err != nil {
		return nil, &LaunchError{What: "no scratch folder", Mend: "set TMPDIR", Err: err}
	}
	// QEMU has everything open once it answers; nothing needs a name then.
	defer scratch.remove()

	g := &Guest{
		Machine: m, ctx: ctx.Err, queue: newQueue(scratchRoot()), facts: facts{profile: m.Profile},
		poke: make(chan struct{}, 1), exited: make(chan struct{}), done: make(chan struct{}),
	}
	g.dog.allowed = m.Profile.Reboots
	var mine, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(mine)
		}
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &LaunchError{What: "no socket for QMP", Err: err}
	}
	qmp, theirQMP := os.NewFile(uintptr(pair[0]), "qmp"), os.NewFile(uintptr(pair[1]), "qmp")
	mine, theirs = append(mine, qmp), append(theirs, theirQMP)
	var logs []*os.File
	for _, name := range Consoles {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, &LaunchError{What: "no pipe for a console", Err: err}
		}
		mine, theirs = append(mine, r), append(theirs, w)
		logs = append(logs, r)
		in, err := consoleInput(filepath.Join(scratch.dir, name))
		if err != nil {
			return nil, &LaunchError{What: "no input for a console", Err: err}
		}
		mine = append(mine, in)
		g.inputs = append(g.inputs, in)
	}
	args, files := m.args(scratch.dir)
	g.cmd = &proc.Cmd{
		Path: m.qemu(), Args: args,
		Env:        []string{"PATH=" + os.Getenv("PATH"), "HOME=" + scratch.dir, "TMPDIR=" + scratch.dir},
		ExtraFiles: append(slices.Clone(theirs), files...),
		Grace:      -1, // QEMU may have reasons not to hear SIGTERM
	}
	if err := g.cmd.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &LaunchError{What: "QEMU cannot be run", Mend: "install qemu-system-x86 (Debian: apt-get install qemu-system-x86)", Err: err}
	}
	g.start = time.Now()
	closeAll(theirs)
	theirs = nil
	limited, cancel := context.WithTimeout(ctx, launched)
	defer cancel()
	if g.QMP, err = dialQMP(limited, qmp); err != nil {
		g.cmd.Signal(syscall.SIGKILL)
		why := g.cmd.Wait(ctx)
		var failed *proc.Error
		if errors.As(why, &failed) {
			failed.Tail = words(failed.Tail)
		}
		if ctx.Err() != nil {
			return nil, why
		}
		return nil, &LaunchError{What: "QEMU did not start", Mend: "its own words tell what to change", Err: errors.Join(err, why)}
	}
	g.listen(logs)
	return g, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// consoleInput makes the two ends that QEMU's pipe device looks for: path.in,
// a FIFO that only we write to, and path.out, which leads nowhere.
func consoleInput(path string) (*os.File, error) {
	if err := unix.Mkfifo(path+".in", 0o600); err != nil {
		return nil, fmt.Errorf("make %s.in: %w", path, err)
	}
	if err := os.Symlink(os.DevNull, path+".out"); err != nil {
		return nil, fmt.Errorf("link %s.out: %w", path, err)
	}
	// Read and write: opening for writing alone fails until QEMU reads.
	return os.OpenFile(path+".in", os.O_RDWR|unix.O_NONBLOCK, 0)
}

// listen starts the readers of consoles and events.
func (g *Guest) listen(logs []*os.File) {
	tables := g.Machine.tables()
	g.log = console.NewLog(tables, g.since)
	g.log.Symbols = g.Machine.Symbols
	g.log.Notify = g.noticed
	for i := range Consoles {
		tape := newRecording(g.Machine.ConsoleBytes)
		g.tapes = append(g.tapes, tape)
		pipe := logs[i]
		g.spools.Go(func() {
			spool(i, pipe, tape, g.queue, g.since)
			pipe.Close()
		})
	}
	g.read.Go(g.match)
	g.read.Go(g.watchEvents)
	go g.watch()
}

func (m Machine) tables() console.Tables {
	switch {
	case m.Tables != nil:
		return *m.Tables
	case m.Profile.Name == Asterinas.Name:
		return console.Asterinas()
	default:
		return console.Linux()
	}
}

// since is the time since the machine's start, on the host's monotonic clock.
func (g *Guest) since() time.Duration { return time.Since(g.start) }

// begin lets the guest run.
func (g *Guest) begin(ctx context.Context) error {
	if s := g.Machine.restore; s != nil {
		if err := s.load(ctx, g); err != nil {
			return err
		}
	}
	if err := g.QMP.Do(ctx, "cont", nil, nil); err != nil {
		return err
	}
	if g.Machine.restore == nil {
		unpack := g.Machine.unpacking()
		g.doing("boot", g.Machine.Profile.Boot+unpack, g.Machine.Profile.Silence+unpack)
	}
	return nil
}

// unpackRate is how many bytes of a compressed initramfs a kernel unpacks in a
// second, with KVM and without a hurry. It says nothing meanwhile.
const unpackRate = 20 << 20

func (m Machine) unpacking() time.Duration {
	if m.Kernel == nil || m.Kernel.Initrd == "" {
		return 0
	}
	info, err := os.Stat(m.Kernel.Initrd)
	if err != nil {
		return 0 // QEMU will tell
	}
	return time.Duration(info.Size()) * time.Second / unpackRate
}

// doing tells the watchdog what the guest is about to do, and how long that
// may take with KVM.
func (g *Guest) doing(what string, limit, silence time.Duration) {
	a := g.Machine.Accel
	g.mu.Lock()
	g.dog.begin(what, g.since(), a.scale(limit), a.scale(silence))
	g.mu.Unlock()
	g.wake()
}

func (g *Guest) rest() {
	g.mu.Lock()
	g.dog.rest()
	g.mu.Unlock()
}

func (g *Guest) wake() {
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// match hands what the consoles say to whoever wants to know, in order.
func (g *Guest) match() {
	for {
		c, ok := g.queue.pop()
		if !ok {
			return
		}
		name := Consoles[c.console]
		g.mu.Lock()
		session, viewer := g.session, g.viewer
		if session == nil || !session.echoes(c.console, c.data) {
			g.dog.heard(c.at, len(c.data))
		}
		g.last = c.at
		g.mu.Unlock()
		if session != nil {
			session.feed(c.console, c.data)
		}
		g.log.Console(name).Feed(c.at, c.data)
		if viewer != nil {
			viewer(c.console, c.data)
		}
		if g.Machine.Watch != nil {
			g.Machine.Watch(name, c.data)
		}
	}
}

// noticed acts on what the consoles tell.
func (g *Guest) noticed(e console.Event) {
	switch e.Kind {
	case console.EventStage:
		g.mu.Lock()
		g.dog.stage, g.dog.progress = string(e.Stage), e.At
		g.mu.Unlock()
	case console.EventCrash:
		if e.Crash.Kind == console.KindPanic {
			g.mu.Lock()
			first := !g.draining
			g.draining = true
			g.mu.Unlock()
			if first {
				go g.drain(e.Crash)
			}
		}
	}
	if g.Machine.Notify != nil {
		g.Machine.Notify(e)
	}
}

// watchEvents follows what QEMU says by itself, until it ends.
func (g *Guest) watchEvents() {
	for e := range g.QMP.events {
		var data struct {
			Reason string `json:"reason"`
			Status string `json:"status"`
			Guest  bool   `json:"guest"`
			Device string `json:"device"`
			Op     string `json:"operation"`
			Full   bool   `json:"nospace"`
		}
		_ = json.Unmarshal(e.Data, &data) // what is missing stays empty
		g.mu.Lock()
		switch e.Name {
		case "SHUTDOWN":
			g.facts.shutdown = data.Reason
		case "RESET":
			if data.Guest {
				g.dog.resets++
				g.facts.resets++
			}
		case "MIGRATION":
			if g.migration != nil {
				select {
				case g.migration <- data.Status:
				default:
				}
			}
		case "GUEST_PANICKED":
			g.facts.shutdown = "guest-panic"
		case "BLOCK_IO_ERROR":
			g.facts.ioError = fmt.Sprintf("QEMU cannot %s the disk %s on the host: %s", data.Op, data.Device, data.Reason)
			if data.Full {
				g.facts.ioError += " (the host's disk is full: free some space in " + scratchRoot() + ")"
			}
			go g.halt(&cause{Infra, "disk error on the host", g.facts.ioError})
		}
		g.mu.Unlock()
		g.wake()
	}
}

// watch is the watchdog's clock.
func (g *Guest) watch() {
	var diskUse int64
	var waited time.Duration // for a processor, as far as it was credited
	for {
		g.mu.Lock()
		c, next := g.dog.verdict(g.since())
		if c != nil && (c.outcome == Hang || c.outcome == Timeout) {
			// A host that runs too much makes any guest look slow.
			now := hostWait(g.cmd.Pid())
			credited := g.dog.credit(g.since(), now-waited)
			waited = now
			if credited {
				c, next = g.dog.verdict(g.since())
			}
		}
		g.mu.Unlock()
		if c != nil && c.outcome == Hang {
			// Silent, but is it idle? An installer copies for minutes without a word.
			if use := g.diskUse(); use != diskUse && g.beforeDeadline() {
				diskUse = use
				g.mu.Lock()
				g.dog.progress = g.since()
				g.mu.Unlock()
				continue
			}
		}
		if c != nil {
			g.giveUp(c)
			return
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-timer:
		case <-g.poke:
		case <-g.exited:
			return
		}
	}
}

func (g *Guest) beforeDeadline() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dog.deadline == 0 || g.since() < g.dog.deadline
}

// diskUse counts what the guest read and wrote.
func (g *Guest) diskUse() int64 {
	ctx, cancel := context.WithTimeout(context.Background(), asked)
	defer cancel()
	var stats []struct {
		Stats struct {
			Read  int64 `json:"rd_operations"`
			Write int64 `json:"wr_operations"`
		}
	}
	if err := g.QMP.Do(ctx, "query-blockstats", nil, &stats); err != nil {
		return 0
	}
	var sum int64
	for _, s := range stats {
		sum += s.Stats.Read + s.Stats.Write
	}
	return sum
}

// giveUp ends a machine that the watchdog is tired of.
func (g *Guest) giveUp(c *cause) {
	g.log.Flush(g.since())
	if f := g.log.Story().Flood; f != nil && c.outcome == Timeout {
		c.title = "timeout: " + f.Cause()
	}
	g.gatherEvidence()
	g.halt(c)
}

const (
	// quiet is how long both consoles must be silent until a panic's report
	// is taken to be complete, drained when that is taken for granted.
	quiet   = 500 * time.Millisecond
	drained = 10 * time.Second
)

// drain lets a kernel that panicked finish its report, and then ends it. Many
// end by themselves before that; some fall silent in the middle of it.
func (g *Guest) drain(crash *console.Crash) {
	for end := time.Now().Add(drained); time.Now().Before(end); {
		g.mu.Lock()
		still := g.since() - g.last
		g.mu.Unlock()
		if still >= quiet {
			break
		}
		select {
		case <-time.After(quiet - still):
		case <-g.exited:
			return
		}
	}
	if g.isIdle() {
		// Its processors wait for interrupts: this kernel runs, and a program
		// has printed what looks like a panic. If not, a watchdog will tell.
		g.note("something that looks like a panic was printed (" + crash.Title + "), but the kernel went on")
		g.mu.Lock()
		g.draining = false
		g.mu.Unlock()
		return
	}
	g.gatherEvidence()
	g.halt(&cause{Panic, crash.Title, crash.Reason()})
}

// halt kills the machine; the first cause counts.
func (g *Guest) halt(c *cause) {
	g.mu.Lock()
	if g.facts.stopped == nil {
		g.facts.stopped = c
	}
	g.mu.Unlock()
	g.cmd.Signal(syscall.SIGKILL)
}

func (g *Guest) note(s string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.notes, s) {
		g.notes = append(g.notes, s)
	}
}

// wait sees the machine end and judges it.
func (g *Guest) wait() {
	err := g.cmd.Wait(context.Background())
	ended := g.since()
	close(g.exited)
	g.spools.Wait()
	g.queue.close()
	g.read.Wait()
	g.queue.release()
	closeAll(g.inputs)
	g.log.Flush(ended)
	if g.reservation != nil {
		g.reservation.Release()
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	f := &g.facts
	var failed *proc.Error
	if errors.As(err, &failed) {
		f.exit, f.signal, f.stderr = failed.Exit, failed.Signal, failed.Tail
	}
	if f.stopped == nil && g.ctx() != nil {
		f.stopped = &cause{Infra, "cancelled", "the run was cancelled: " + g.ctx().Error()}
	}
	story := g.log.Story()
	f.crash = story.Decisive()
	if g.session != nil {
		f.answered, f.running = g.session.lastAnswer()
	}
	e := Ending{
		Stage: story.Stage(), Stages: story.Stages, Exit: f.exit, Duration: ended, Boots: story.Boots,
		Evidence: g.evidence, Screenshot: g.shot, Notes: g.notes,
	}
	e.Outcome, e.Title, e.Reason = judge(*f)
	if e.Outcome == Panic || e.Outcome == Oops {
		if f.crash != nil {
			e.Trace = f.crash.Trace
		}
	}
	for i, tape := range g.tapes {
		if n := tape.Dropped(); n > 0 {
			e.Notes = append(e.Notes, fmt.Sprintf("%s: %d bytes dropped between head and tail", Consoles[i], n))
		}
	}
	if g.queue.lost > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d bytes of the consoles were not looked at: memory and disk were full", g.queue.lost))
	}
	g.ending = e
	close(g.done)
	if g.session != nil {
		g.session.gone()
	}
}

// Done is closed when the guest has ended and its Ending is known.
func (g *Guest) Done() <-chan struct{} { return g.done }

// Wait waits for the guest to end. It ends in any case: when nothing else
// ends it, a watchdog does, unless it rests at a prompt.
func (g *Guest) Wait() Ending {
	<-g.done
	return g.ending
}

// Kill ends the guest at once, as one whose work is done: what it was doing is
// not asked about.
func (g *Guest) Kill() Ending {
	g.halt(&cause{OK, "", "the harness ended the machine when its work was done"})
	return g.Wait()
}

// Console is what a console has said so far.
func (g *Guest) Console(name string) *Recording {
	i := slices.Index(Consoles, name)
	if i < 0 {
		return nil
	}
	return g.tapes[i]
}

// Story is what the consoles have told so far.
func (g *Guest) Story() *console.Story { return g.log.Story() }

// Pid is the process id of QEMU, for those who measure it.
func (g *Guest) Pid() int { return g.cmd.Pid() }
