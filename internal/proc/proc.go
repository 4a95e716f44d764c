// Package proc starts, stops and explains a child process and its whole group.
//
// A Cmd is shaped like exec.Cmd. Its child leads a process group of its own;
// cancelling the context asks the group to end and kills it after a grace
// period; when the child ends, whatever it left in its group is killed; when
// this process dies, however it dies, the kernel kills the child.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultGrace is how long a cancelled child may take to end by itself.
const DefaultGrace = 2 * time.Second

// tailBytes is how much of the end of a child's stderr an Error holds.
const tailBytes = 8 << 10

// Cmd is a child process to be started. A Cmd is used once.
type Cmd struct {
	// Path is the program: a path, or a name looked up in PATH.
	Path string
	// Args are the arguments after the program's name.
	Args []string
	// Env is the whole environment; nil means an empty one plus PATH and
	// HOME of this process. To inherit everything say os.Environ().
	Env []string
	Dir string
	// Stdin, Stdout and Stderr are as in exec.Cmd; Stdout and Stderr may be one
	// writer. The end of stderr is kept for the Error in any case.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// ExtraFiles are as in exec.Cmd: entry i becomes descriptor 3+i.
	ExtraFiles []*os.File
	// Grace is how long the group may take to end after SIGTERM when the
	// context is cancelled; zero means DefaultGrace, negative means none:
	// SIGKILL at once.
	Grace time.Duration
	// MemoryBytes bounds the address space of the child and of each of its
	// children (RLIMIT_AS); zero is no bound.
	MemoryBytes uint64
	// Session makes the child lead a session of its own instead of a
	// group, without a controlling terminal.
	Session bool

	cmd  *exec.Cmd
	tail tail
	done chan struct{}
	err  error // valid once done is closed
}

// Error says how a child failed.
type Error struct {
	Args []string
	// Exit is the exit status, -1 if the child was killed by a signal or did
	// not start.
	Exit   int
	Signal syscall.Signal
	// Tail is the end of its stderr.
	Tail string
	// Err is the cause: *exec.ExitError, the context's error, or why it did
	// not start.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s: ", e.Args[0])
	switch {
	case errors.Is(e.Err, context.Canceled):
		b.WriteString("cancelled")
	case errors.Is(e.Err, context.DeadlineExceeded):
		b.WriteString("out of time")
	case e.Signal != 0:
		fmt.Fprintf(&b, "killed by %s", unix.SignalName(e.Signal))
	case e.Exit >= 0:
		fmt.Fprintf(&b, "exit status %d", e.Exit)
	default:
		b.WriteString(e.Err.Error())
	}
	if t := strings.TrimSpace(e.Tail); t != "" {
		b.WriteString(": ")
		b.WriteString(t)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Start starts the child. It is stopped when ctx ends. Wait must be called
// afterwards.
func (c *Cmd) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return c.explain(err)
	}
	c.cmd = exec.Command(c.Path, c.Args...)
	c.cmd.Dir = c.Dir
	c.cmd.Env = c.Env
	if c.Env == nil {
		c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	}
	c.cmd.Stdin = c.Stdin
	c.cmd.Stdout = c.Stdout
	c.cmd.ExtraFiles = c.ExtraFiles
	c.cmd.Stderr = &c.tail
	if c.Stderr != nil {
		c.cmd.Stderr = io.MultiWriter(&c.tail, c.Stderr)
		if _, file := c.Stdout.(*os.File); c.Stdout != nil && !file {
			// Each stream is copied by a goroutine of its own, and both may go to one
			// writer.
			var mu sync.Mutex
			c.cmd.Stdout = &locked{&mu, c.Stdout}
			c.cmd.Stderr = &locked{&mu, c.cmd.Stderr}
		}
	}
	// A grandchild that keeps our pipes open must not stall Wait.
	c.cmd.WaitDelay = 5 * time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   !c.Session,
		Setsid:    c.Session,
		Pdeathsig: syscall.SIGKILL,
	}

	c.done = make(chan struct{})
	started := make(chan error)
	go func() {
		// The parent-death signal is bound to the thread that forked, not to
		// the process (prctl(2)): this thread lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := c.cmd.Start(); err != nil {
			started <- err
			return
		}
		if c.MemoryBytes > 0 {
			limit := unix.Rlimit{Cur: c.MemoryBytes, Max: c.MemoryBytes}
			// It fails only for a child that is gone already.
			_ = unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_AS, &limit, nil)
		}
		started <- nil
		err := c.cmd.Wait()
		c.signal(syscall.SIGKILL) // what it left behind in its group
		c.err = err
		close(c.done)
	}()
	if err := <-started; err != nil {
		return c.explain(err)
	}
	go c.stopWith(ctx)
	return nil
}

// stopWith ends the group when ctx ends first.
func (c *Cmd) stopWith(ctx context.Context) {
	select {
	case <-c.done:
		return
	case <-ctx.Done():
	}
	grace := c.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	if grace > 0 {
		c.signal(syscall.SIGTERM)
		select {
		case <-c.done:
			return
		case <-time.After(grace):
		}
	}
	c.signal(syscall.SIGKILL)
}

// signal sends to the whole group. The leader's entry may be gone; the group
// lives while a member does.
func (c *Cmd) signal(s syscall.Signal) { _ = syscall.Kill(-c.cmd.Process.Pid, s) }

// Signal sends a signal to the child's group.
func (c *Cmd) Signal(s syscall.Signal) {
	select {
	case <-c.done:
	default:
		c.signal(s)
	}
}

// Pid is the child's process id, and that of its group.
func (c *Cmd) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended.
func (c *Cmd) Done() <-chan struct{} { return c.done }

// Wait waits for the child to end. The error, if any, is an *Error; it wraps
// the context's error when ctx ended before the child. ctx is the one Start
// was called with.
func (c *Cmd) Wait(ctx context.Context) error {
	<-c.done
	if c.err == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return c.explain(err)
	}
	return c.explain(c.err)
}

// Run starts the child and waits for it.
func (c *Cmd) Run(ctx context.Context) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Output runs the child and returns what it wrote to stdout.
func (c *Cmd) Output(ctx context.Context) ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run(ctx)
	return out.Bytes(), err
}

func (c *Cmd) explain(err error) *Error {
	e := &Error{Args: append([]string{c.Path}, c.Args...), Exit: -1, Err: err, Tail: c.tail.String()}
	if c.cmd != nil && c.cmd.ProcessState != nil {
		if ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			if ws.Signaled() {
				e.Signal = ws.Signal()
			} else {
				e.Exit = ws.ExitStatus()
			}
		}
	}
	return e
}

// locked is a writer that takes turns with others of its lock.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// tail keeps the last tailBytes of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailBytes):])
}
