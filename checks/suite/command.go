package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/testvm/console"
)

// Command settles a suite by a configured command, whose results it reads. The
// command is code of the change's own and runs outside any sandbox: only where
// there is nothing to steal, or where somebody said so.
type Command struct {
	// Name is the suite's name.
	Name string
	// Run is for /bin/sh, in the folder Dir, with Env added to PATH and HOME.
	Run, Dir string
	Env      []string
	// Format is how the results are written: nixos-test, tap or junit.
	Format string
	// Output is the file that holds them, below Dir; empty is standard output.
	Output string
	// Timeout bounds the command; zero is half an hour.
	Timeout time.Duration
	// LogDir is the folder for the log, Prefix how a report refers to it.
	LogDir, Prefix string
}

// reader reads results as they are printed.
type reader interface {
	io.Writer
	// finish tells what was read, once no more will come.
	finish() parsed
}

// parsed are the results that a command printed.
type parsed struct {
	cases []parsedCase
	// problem says why the results are not complete or cannot be believed, stage
	// how far the run came.
	problem, stage string
}

type parsedCase struct {
	name    string
	status  checks.Status // pass, fail or skip
	reason  string
	tail    []string
	seconds float64
}

// maxParsed bounds how many cases a command may report.
const maxParsed = 20000

// formats are the ways in which results can be written.
var formats = map[string]func() reader{
	"nixos-test": func() reader { return newNixOSTest() },
	"tap":        func() reader { return newTAP() },
	"junit":      func() reader { return &junit{} },
}

// Runs is the case that the command runs to its end.
func (c Command) Runs() checks.Case {
	return checks.Case{Kind: checks.KindBoot, Of: distro.KindSuite, Subject: c.Name, Name: "runs"}
}

// Case is the case of one of its tests.
func (c Command) Case(name string) checks.Case {
	return checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: c.Name, Name: name}
}

// Settle runs the command once. The error says that we could not look.
func (c Command) Settle(ctx context.Context, settled func(checks.Case, checks.Outcome)) (map[checks.Case]checks.Outcome, error) {
	if settled == nil {
		settled = func(checks.Case, checks.Outcome) {}
	}
	newReader, ok := formats[c.Format]
	if !ok {
		return nil, fmt.Errorf("run suite %s: format %q is none of nixos-test, tap, junit", c.Name, c.Format)
	}
	log, err := c.openLog()
	if err != nil {
		return nil, fmt.Errorf("run suite %s: %w", c.Name, err)
	}
	p := newReader()
	var out io.Writer = log
	if c.Output == "" {
		out = io.MultiWriter(log, p)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 30 * time.Minute
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := &proc.Cmd{
		Path: "/bin/sh", Args: []string{"-c", c.Run}, Dir: c.Dir,
		Env:    append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, c.Env...),
		Stdout: out, Stderr: out,
	}
	start := time.Now()
	runErr := cmd.Run(limited)
	took := time.Since(start)
	if c.Output != "" {
		if err := c.readOutput(p); err != nil && runErr == nil {
			runErr = err
		}
	}
	name := log.close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run suite %s: %w", c.Name, ctx.Err())
	}
	outcomes := c.outcomes(p.finish(), runErr, timeout)
	for k, o := range outcomes {
		o.Log, o.Machine = name, "command/"+c.Name
		if k == c.Runs() {
			o.Seconds = took.Seconds()
			o.Tail = log.tail()
		}
		outcomes[k] = o
		settled(k, o)
	}
	return outcomes, nil
}

// outcomes says what the results and the command's end mean together.
func (c Command) outcomes(p parsed, runErr error, timeout time.Duration) map[checks.Case]checks.Outcome {
	out := map[checks.Case]checks.Outcome{}
	failed := 0
	names := map[string]int{}
	for _, pc := range p.cases {
		o := checks.Outcome{Status: pc.status, Stage: "test", Reason: pc.reason, Title: title(pc.reason), Tail: pc.tail, Seconds: pc.seconds, Attempts: 1}
		switch pc.status {
		case checks.Pass:
			o.Passes, o.Reason, o.Title = 1, "", ""
		case checks.Fail:
			failed++
			if o.Reason == "" {
				o.Reason, o.Title = "it failed", "it failed"
			}
		case checks.Skip:
			o.Title = ""
			if o.Reason == "" {
				o.Reason = "skipped by the suite itself"
			}
		}
		name := pc.name
		if names[name]++; names[pc.name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, names[pc.name])
		}
		out[c.Case(name)] = o
	}
	runs := checks.Outcome{Status: checks.Pass, Stage: "ready", Attempts: 1, Passes: 1}
	fail := func(stage, reason string) {
		runs.Status, runs.Passes, runs.Stage, runs.Reason, runs.Title = checks.Fail, 0, stage, reason, title(reason)
	}
	var failure *proc.Error
	errors.As(runErr, &failure)
	switch {
	case errors.Is(runErr, context.DeadlineExceeded):
		fail(p.stage, fmt.Sprintf("the command did not end within %s", timeout))
		runs.TimedOut = true
	case failure != nil && failure.Signal != 0:
		fail(p.stage, fmt.Sprintf("the command was killed by signal %d", failure.Signal))
	case p.problem != "":
		fail(p.stage, p.problem)
		if failure != nil {
			runs.Reason += fmt.Sprintf(" (the command's exit status is %d)", failure.Exit)
		}
	case failure != nil && failed == 0:
		fail("shutdown", fmt.Sprintf("each test passed, but the command's exit status is %d: it did not end well", failure.Exit))
	case runErr != nil && failure == nil:
		fail(p.stage, firstLine(runErr.Error()))
	}
	if failure != nil {
		exit := failure.Exit
		runs.Exit = &exit
	}
	out[c.Runs()] = runs
	return out
}

// maxOutput bounds a file of results.
const maxOutput = 64 << 20

// readOutput reads the file of results. It is the change's own: it may be a
// link out of the folder, or huge.
func (c Command) readOutput(p reader) error {
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	defer root.Close()
	f, err := root.Open(c.Output)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("read results: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("read results: %s is no regular file", c.Output)
	case info.Size() > maxOutput:
		return fmt.Errorf("read results: %s has %d bytes, more than %d", c.Output, info.Size(), maxOutput)
	}
	_, err = io.Copy(p, f)
	return err
}

// maxLog bounds the log of a command; of more, head and tail are kept.
const maxLog = 16 << 20

// commandLog keeps the head of an output in a file and its tail in memory.
type commandLog struct {
	file    *os.File
	name    string
	written int64
	total   int64
	last    []byte
}

func (c Command) openLog() (*commandLog, error) {
	l := &commandLog{}
	if c.LogDir == "" {
		return l, nil
	}
	if err := os.MkdirAll(c.LogDir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(c.LogDir, "command.log"))
	if err != nil {
		return nil, err
	}
	l.file, l.name = f, filepath.ToSlash(filepath.Join(c.Prefix, "command.log"))
	return l, nil
}

const keptTail = 64 << 10

func (l *commandLog) Write(p []byte) (int, error) {
	l.total += int64(len(p))
	if n := min(int64(len(p)), maxLog-l.written); n > 0 && l.file != nil {
		if _, err := l.file.Write(p[:n]); err != nil {
			return 0, fmt.Errorf("write log: %w", err)
		}
		l.written += n
	}
	l.last = append(l.last, p...)
	if len(l.last) > 2*keptTail {
		l.last = append(l.last[:0], l.last[len(l.last)-keptTail:]...)
	}
	return len(p), nil
}

func (l *commandLog) tail() []string { return tail(l.last) }

// close ends the log with its tail, and returns how a report refers to it.
func (l *commandLog) close() string {
	if l.file == nil {
		return ""
	}
	defer l.file.Close()
	if dropped := l.total - l.written; dropped > 0 {
		end := l.last[max(0, len(l.last)-int(min(dropped, keptTail))):]
		fmt.Fprintf(l.file, "\n[... %d bytes dropped ...]\n%s", dropped-int64(len(end)), end)
	}
	return l.name
}

// textLines are what the line-based parsers share.
type textLines struct {
	console.Lines
	recent []string
}

func (t *textLines) remember(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(line) > maxLineBytes {
		line = strings.ToValidUTF8(line[:maxLineBytes], "")
	}
	t.recent = append(t.recent, line)
	if len(t.recent) > 2*tailLines {
		t.recent = append(t.recent[:0], t.recent[len(t.recent)-tailLines:]...)
	}
}

// take returns what was remembered, and forgets it.
func (t *textLines) take() []string {
	out := t.recent[max(0, len(t.recent)-tailLines):]
	t.recent = nil
	return out
}
