// Package console turns the bytes of a machine's consoles into what happened:
// the boot stages reached, panics, oopses and stalls with their stack traces,
// the kernel's log lines, and how the kernel said it ended.
//
// A Log holds all consoles of one machine. Each Console is an io.Writer; the
// bytes may be split anywhere, hold escape sequences, be binary or endless.
// Memory is bounded and the work linear in the bytes.
//
//	log := console.NewLog(console.Asterinas(), clock)
//	log.Notify = func(e console.Event) { ... }
//	go io.Copy(log.Console("hvc0"), hvc0)
//	go io.Copy(log.Console("ttyS0"), ttyS0)
//	...
//	story := log.Story()
//
// Nothing here does I/O or reads a clock.
package console

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stage is how far a boot came. There is one list for all kernels.
type Stage string

// The stages, in order. StageReady is never read from a text: whoever has
// spoken to the guest's shell says so, with Log.Reach.
const (
	StageNone       Stage = ""
	StageFirmware   Stage = "firmware"
	StageLoader     Stage = "loader"
	StageKernel     Stage = "kernel"     // the kernel runs
	StageComponents Stage = "components" // it initialises its parts
	StageRootfs     Stage = "rootfs"     // it has a file system, or is unpacking it
	StageInit       Stage = "init"       // a program runs
	StageReady      Stage = "ready"      // a shell answers
)

// Stages are all stages in order.
var Stages = []Stage{StageFirmware, StageLoader, StageKernel, StageComponents, StageRootfs, StageInit, StageReady}

// Index is the stage's place in Stages; -1 for StageNone.
func (s Stage) Index() int { return slices.Index(Stages, s) }

// Reached is when a stage was reached, counted from the machine's start.
type Reached struct {
	Stage Stage
	At    time.Duration
}

// EventKind says what an Event tells.
type EventKind int

// The kinds of events.
const (
	EventStage  EventKind = iota // a stage was reached for the first time
	EventCrash                   // the header of a report was seen; more of it may follow
	EventEnd                     // the kernel says that it ends
	EventPrompt                  // a console waits at what looks like a prompt
)

// Event is something that somebody may want to act on at once.
type Event struct {
	Kind    EventKind
	At      time.Duration
	Console string
	Stage   Stage
	Crash   *Crash // as far as it is known; a copy
	End     End
	Text    string // the prompt
}

// Log reads the consoles of one machine. Its methods and those of its
// Consoles may be called from any goroutine.
type Log struct {
	// Notify, if set before the first byte, is told of events as they come, in
	// order for each console, without a lock held.
	Notify func(Event)
	// Symbols, if set, name the functions of stack traces.
	Symbols *Symbols

	tables  Tables
	clock   func() time.Duration
	match   *matcher
	kinds   []target
	regexps []int // crash patterns without a text

	mu       sync.Mutex
	consoles []*Console
	reached  []Reached
	stage    int // index of the last stage
	end      End
	queue    []Event
	levels   [levels]int
	lines    int // kernel lines on the console that has most
	own      [clocks]bool
}

// target is what a literal of the matcher stands for.
type target struct {
	stage, crash, end int // index into the tables, or -1
}

// NewLog returns a Log. clock gives the time since the machine's start for
// what comes through Write; it may be nil when only Feed is used.
func NewLog(t Tables, clock func() time.Duration) *Log {
	l := &Log{tables: t, clock: clock, stage: -1}
	l.own[t.Clock] = true
	var literals []string
	add := func(text string, to target) {
		literals = append(literals, text)
		l.kinds = append(l.kinds, to)
	}
	for i, p := range t.Stages {
		add(p.Text, target{i, -1, -1})
	}
	for i, p := range t.Crashes {
		if p.Text == "" {
			l.regexps = append(l.regexps, i)
			continue
		}
		add(p.Text, target{-1, i, -1})
	}
	for i, p := range t.Ends {
		add(p.Text, target{-1, -1, i})
	}
	l.match = newMatcher(literals)
	return l
}

// Console returns the console of that name, which it makes at first.
func (l *Log) Console(name string) *Console {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.consoles {
		if c.name == name {
			return c
		}
	}
	c := &Console{log: l, name: name, kernel: kernelLines{seen: map[string]uint64{}}, banners: make([]int, len(l.tables.Stages))}
	l.consoles = append(l.consoles, c)
	return c
}

// Reach says that a stage was reached, for what only the caller can know.
func (l *Log) Reach(s Stage, at time.Duration) {
	l.mu.Lock()
	l.reach(s, at, "")
	l.unlockAndTell()
}

// Flush takes every line that has not ended as if it had: when nothing more
// will come, or when a machine has fallen silent.
func (l *Log) Flush(at time.Duration) {
	l.mu.Lock()
	for _, c := range l.consoles {
		if len(c.line) > 0 {
			c.takeLine(at)
		}
	}
	l.unlockAndTell()
}

// reach notes a stage; the lock is held.
func (l *Log) reach(s Stage, at time.Duration, console string) {
	i := s.Index()
	if i <= l.stage {
		return
	}
	l.stage = i
	l.reached = append(l.reached, Reached{s, at})
	l.queue = append(l.queue, Event{Kind: EventStage, At: at, Console: console, Stage: s})
}

// initRuns reports whether programs run, so that a text may be theirs.
func (l *Log) initRuns() bool { return l.stage >= StageInit.Index() }

// unlockAndTell releases the lock and hands out the events that came up.
func (l *Log) unlockAndTell() {
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	if l.Notify == nil {
		return
	}
	for _, e := range queue {
		l.Notify(e)
	}
}

const (
	// maxLine bounds a line that does not end; it is then read in parts that
	// overlap, so that no text is missed at a seam.
	maxLine = 8 << 10
	overlap = 256
	// chunk is how much is taken at once, so that the scratch memory is
	// bounded.
	chunk = 32 << 10
)

// Console reads one console.
type Console struct {
	log  *Log
	name string

	strip    stripper
	scratch  []byte
	line     []byte // what has come of the line that has not ended
	seen     int    // bytes of line that were read as the end of its last part
	segments []segment
	bytes    int64

	kernel     kernelLines
	banners    []int
	awaitsInit bool
	prompt     string
	open       *block
	crashes    []*Crash
	since      int // lines since the last crash's header
}

// Name is the console's name.
func (c *Console) Name() string { return c.name }

// Write reads p as coming now. It never fails.
func (c *Console) Write(p []byte) (int, error) {
	c.Feed(c.log.clock(), p)
	return len(p), nil
}

// Feed reads p as coming at that time after the machine's start.
func (c *Console) Feed(at time.Duration, p []byte) {
	for len(p) > 0 {
		n := min(len(p), chunk)
		c.log.mu.Lock()
		c.feed(at, p[:n])
		c.log.unlockAndTell()
		p = p[n:]
	}
}

func (c *Console) feed(at time.Duration, p []byte) {
	c.bytes += int64(len(p))
	c.scratch = c.strip.strip(c.scratch[:0], p)
	for text := c.scratch; len(text) > 0; {
		i := bytes.IndexByte(text, '\n')
		part := text
		if i >= 0 {
			part = text[:i]
		}
		c.add(at, part)
		if i < 0 {
			break
		}
		text = text[i+1:]
		c.takeLine(at)
	}
	c.lookForPrompt(at)
}

// add appends to the line; a carriage return ends a line too.
func (c *Console) add(at time.Duration, part []byte) {
	for len(part) > 0 {
		i := bytes.IndexByte(part, '\r')
		if i == 0 {
			// Of "\r\n" the newline ends the line; a program may also redraw
			// its line.
			if len(part) > 1 {
				c.takeLine(at)
			}
			part = part[1:]
			continue
		}
		piece := part
		if i > 0 {
			piece = part[:i]
		}
		piece = piece[:min(len(piece), maxLine-len(c.line))]
		c.line = append(c.line, piece...)
		part = part[len(piece):]
		if len(c.line) >= maxLine {
			c.takePart(at)
		}
	}
}

// takePart reads a full buffer of a line that goes on.
func (c *Console) takePart(at time.Duration) {
	c.read(at, c.line)
	n := copy(c.line, c.line[len(c.line)-overlap:])
	c.line, c.seen = c.line[:n], n
}

// takeLine reads a line to its end.
func (c *Console) takeLine(at time.Duration) {
	if len(c.line) > c.seen {
		c.read(at, c.line)
	}
	c.line, c.seen, c.prompt = c.line[:0], 0, ""
}

// read takes in one line, or a part of a long one.
func (c *Console) read(at time.Duration, line []byte) {
	l := c.log
	c.segments = c.split(c.segments[:0], line)
	if !l.initRuns() {
		c.earlyLevels(line)
	}
	kernel := slices.ContainsFunc(c.segments, func(s segment) bool { return s.kernel })
	c.since++
	awaited := c.awaitsInit
	header := hit{pattern: -1}
	l.match.find(line, func(literal, start, end int) {
		if end <= c.seen {
			return
		}
		switch k := l.kinds[literal]; {
		case k.stage >= 0:
			c.stageText(at, k.stage)
		case k.crash >= 0:
			// Of several patterns the first in the table counts.
			if (header.pattern < 0 || k.crash < header.pattern) && c.isHeader(k.crash, line, start, end) {
				header = hit{k.crash, start, end}
			}
		case c.begins(line, start):
			l.end = l.tables.Ends[k.end].End
			l.queue = append(l.queue, Event{Kind: EventEnd, At: at, Console: c.name, End: l.end})
		}
	})
	for _, i := range l.regexps {
		if m := l.tables.Crashes[i].Regexp.FindIndex(line); m != nil && m[1] > c.seen && header.pattern < 0 {
			header = hit{i, m[0], m[1]}
		}
	}
	if kernel && c.seen == 0 {
		l.reach(StageKernel, at, c.name)
	}
	taken := false // by a report
	if header.pattern >= 0 {
		taken = c.startCrash(at, l.tables.Crashes[header.pattern], line, header.start, header.end)
	}
	if !taken && c.open != nil {
		taken = c.continueCrash(line)
	}
	c.keepKernel(line, taken || bytes.Contains(line, []byte("---[ ")))
	if awaited && !kernel && !taken && len(bytes.TrimSpace(line)) > 0 {
		c.awaitsInit = false
		l.reach(StageInit, at, c.name)
	}
}

// hit is where a crash pattern was found in a line.
type hit struct{ pattern, start, end int }

// keepKernel remembers the kernel's lines, but those of a report: they are
// told with it.
func (c *Console) keepKernel(line []byte, taken bool) {
	l := c.log
	for _, s := range c.segments {
		if !s.kernel {
			continue
		}
		l.levels[s.level]++
		c.kernel.lines++
		l.lines = max(l.lines, c.kernel.lines)
		if !taken {
			c.kernel.add(line[s.start:s.end])
		}
	}
}

// earlyLevels makes "WARN: text" a segment of the kernel's: so it logs before
// it has a clock. Firmware may not have ended its line.
func (c *Console) earlyLevels(line []byte) {
	if len(c.segments) != 1 || c.segments[0].kernel {
		return
	}
	from := 0
	if i := bytes.Index(line, []byte("Booting from ROM..")); i >= 0 {
		from = i + len("Booting from ROM..")
	}
	if level, n := levelWord(line[from:]); n > 0 {
		c.segments[0] = segment{start: from + n, end: len(line), kernel: true, level: level}
	}
}

// begins reports whether a text at start begins what the kernel writes, or a
// line. Before init runs nothing but the kernel and firmware write.
func (c *Console) begins(line []byte, start int) bool {
	return c.logged(start) || len(bytes.TrimSpace(line[:start])) == 0 && c.seen == 0 || !c.log.initRuns()
}

// logged reports whether a text at start begins a line of the kernel's log.
func (c *Console) logged(start int) bool {
	return slices.ContainsFunc(c.segments, func(s segment) bool { return s.kernel && s.start == start })
}

func (c *Console) stageText(at time.Duration, i int) {
	p := c.log.tables.Stages[i]
	if p.Banner {
		c.banners[i]++
	}
	if p.After {
		c.awaitsInit = !c.log.initRuns()
		return
	}
	c.log.reach(p.Stage, at, c.name)
}

// prompts are how a line ends on which a shell or a login waits.
var prompts = []string{"# ", "$ ", "% ", "~> ", "login: ", "Password: ", "password: "}

// lookForPrompt tells of a line that does not end and looks like a prompt.
func (c *Console) lookForPrompt(at time.Duration) {
	n := len(c.line)
	if n == 0 || n > 300 {
		return
	}
	for _, p := range prompts {
		if n < len(p) || string(c.line[n-len(p):]) != p {
			continue
		}
		if c.prompt == string(c.line) {
			return
		}
		c.prompt = strings.ToValidUTF8(string(c.line), "\uFFFD")
		if c.awaitsInit {
			c.awaitsInit = false
			c.log.reach(StageInit, at, c.name)
		}
		c.log.queue = append(c.log.queue, Event{Kind: EventPrompt, At: at, Console: c.name, Text: c.prompt})
		return
	}
}
