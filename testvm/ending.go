package testvm

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/asterinas/asterbot/testvm/console"
)

// Outcome says how a machine ended.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Panic    Outcome = "panic"
	Oops     Outcome = "oops"
	Hang     Outcome = "hang"     // silence
	Timeout  Outcome = "timeout"  // progress, but too slow
	Reboot   Outcome = "reboot"   // it reset itself
	Shutdown Outcome = "shutdown" // it ended, otherwise than it should have
	Infra    Outcome = "infra"    // ours, never the guest's
)

// Ending is how a machine ended, and what is known of why.
type Ending struct {
	Outcome Outcome
	// Stage is the last stage of the boot that was reached, Stages all of
	// them with their times.
	Stage  console.Stage
	Stages []console.Reached
	// Title is the normalised title of the panic or oops, or of what else
	// ended it; Reason is one sentence for people.
	Title, Reason string
	Trace         []console.Frame
	// Exit is QEMU's exit status, -1 when it was killed.
	Exit int
	// Duration is the time from the start of QEMU to its end.
	Duration time.Duration
	// Evidence is what was gathered before a machine that hung was killed.
	Evidence []Evidence
	// Screenshot is a PNG of the last moment, if there was a screen to see.
	Screenshot []byte
	// Notes are things a reader should know, such as bytes dropped.
	Notes []string
	// Boots counts the starts of a kernel; with a fork that is zero.
	Boots int
}

// Evidence is one thing that was asked of a machine that hung.
type Evidence struct{ Name, Text string }

// LaunchError is why a machine could not be started: always ours, never the
// guest's.
type LaunchError struct {
	// What happened, and how to mend it.
	What, Mend string
	Err        error
}

func (e *LaunchError) Error() string {
	s := "start machine: " + e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Mend != "" {
		s += " (" + e.Mend + ")"
	}
	return s
}

func (e *LaunchError) Unwrap() error { return e.Err }

// cause is why we ended a machine ourselves.
type cause struct {
	outcome Outcome
	title   string
	reason  string
}

// facts are everything an ending is judged by.
type facts struct {
	profile Profile
	// exit and signal are how QEMU ended, stderr the end of what it said.
	exit   int
	signal syscall.Signal
	stderr string
	// stopped is why we killed it, if we did.
	stopped *cause
	// shutdown is the reason of QMP's last SHUTDOWN event, empty without one:
	// isa-debug-exit emits none.
	shutdown string
	// resets counts QMP's RESET events.
	resets int
	// ioError is QMP's BLOCK_IO_ERROR, in words.
	ioError string
	// crash is the worst the consoles reported: a panic, an oops, or nil.
	crash *console.Crash
	// answered is when the guest last proved that it was alive, with an answer
	// only this process could expect.
	answered time.Duration
	// running is the command that had not ended, empty for none.
	running string
}

// panicked reports whether the panic that the consoles told of is one. What a
// program prints can look the same as a kernel's report, but a kernel that
// powers off in good order or answers afterwards has not panicked.
func (f facts) panicked() bool {
	return f.crash != nil && f.crash.Kind == console.KindPanic && !f.endedWell() && f.answered <= f.crash.At
}

// oopsed reports whether the kernel, and not a program, told of an oops.
func (f facts) oopsed() bool {
	return f.crash != nil && f.crash.Kind == console.KindOops && !f.crash.Bare
}

// endedWell reports whether QEMU ended as after a good power-off.
func (f facts) endedWell() bool {
	if f.stopped != nil || f.signal != 0 {
		return false
	}
	if f.profile.ExitOK != 0 {
		return f.exit == f.profile.ExitOK
	}
	return f.exit == 0 && f.shutdown == "guest-shutdown"
}

// judge says how a machine ended. The order of the rules is the order of their
// authority: what broke on our side first, since nothing else can be believed
// then; what the kernel said of itself; why we stopped it; how QEMU ended.
func judge(f facts) (Outcome, string, string) {
	p := f.profile
	switch {
	case f.ioError != "":
		return Infra, "disk error on the host", f.ioError
	case f.stopped != nil && f.stopped.outcome == Infra:
		return Infra, f.stopped.title, f.stopped.reason
	case f.panicked():
		return Panic, f.crash.Title, f.crash.Reason()
	case f.stopped != nil && f.stopped.outcome != OK:
		return f.stopped.outcome, f.stopped.title, f.stopped.reason
	case f.stopped != nil && f.oopsed():
		return Oops, f.crash.Title, f.crash.Reason()
	case f.stopped != nil:
		return OK, "", f.stopped.reason
	case f.signal != 0:
		return Infra, "QEMU was killed", fmt.Sprintf("QEMU was killed by %v, and not by us: out of memory, or someone's kill", f.signal)
	case f.shutdown == "guest-panic":
		return Panic, "guest panicked", "the guest told QEMU that it panicked"
	case f.shutdown == "guest-reset":
		if f.resets > 1 {
			return Reboot, "reboot loop", fmt.Sprintf("the guest reset itself %d times", f.resets)
		}
		return Reboot, "guest reset", "the guest reset itself (a reboot or a triple fault), which QEMU ends with exit status 0"
	case strings.HasPrefix(f.shutdown, "host-"):
		return Infra, "QEMU was stopped", "something on the host stopped QEMU: " + f.shutdown
	case p.ExitPanic != 0 && f.exit == p.ExitPanic:
		return Panic, "panic without a message", fmt.Sprintf("QEMU's exit status %d says that the kernel gave up; its log said nothing", f.exit)
	case !f.endedWell():
		return notWell(f)
	case f.running != "":
		return Shutdown, "power-off during a command", fmt.Sprintf("the guest powered off while %q was running", f.running)
	case f.oopsed():
		return Oops, f.crash.Title, f.crash.Reason()
	default:
		return OK, "", "the guest powered off"
	}
}

func notWell(f facts) (Outcome, string, string) {
	switch {
	case f.exit == 0 && f.shutdown == "guest-shutdown":
		return Shutdown, "wrong exit status", fmt.Sprintf("the guest powered off, but QEMU's exit status is 0 instead of %d", f.profile.ExitOK)
	case f.profile.DebugExit && f.exit&1 == 1 && (f.exit != 1 || words(f.stderr) == ""):
		return Shutdown, "wrong exit status", fmt.Sprintf("the guest ended QEMU with exit status %d instead of %d", f.exit, f.profile.ExitOK)
	default:
		return Infra, "QEMU failed", fmt.Sprintf("QEMU ended by itself with exit status %d: %s", f.exit, lastLine(f.stderr))
	}
}

// words are what QEMU says, without its warnings about features of a
// processor model that TCG lacks: 25 lines for Icelake-Server.
func words(stderr string) string {
	var out []string
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "warning: TCG doesn't support requested feature") {
			out = append(out, line)
		}
	}
	return strings.TrimSpace(strings.Join(out, ""))
}

func lastLine(s string) string {
	s = words(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// String is the ending in a line.
func (e Ending) String() string {
	s := string(e.Outcome)
	if e.Title != "" {
		s += ": " + e.Title
	}
	return fmt.Sprintf("%s: %s (stage %s, exit %d, %.1f s)", s, e.Reason, orNone(string(e.Stage)), e.Exit, e.Duration.Seconds())
}
