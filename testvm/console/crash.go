package console

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says what a report tells of the kernel.
type Kind string

// The kinds of reports, the worst first.
const (
	KindPanic   Kind = "panic"   // the kernel has ended
	KindOops    Kind = "oops"    // a defect of the kernel that it survived
	KindStall   Kind = "stall"   // something took too long; a slow host does that too
	KindWarning Kind = "warning" // worth a look, decides nothing
)

func (k Kind) rank() int {
	return slices.Index([]Kind{KindWarning, KindStall, KindOops, KindPanic}, k)
}

// Crash is one report of a kernel's, put together from all consoles.
type Crash struct {
	Kind Kind
	// Title is what two reports of the same defect have in common: addresses,
	// numbers and line numbers replaced. With symbols it begins with the
	// functions that led there.
	Title string
	// Message is the kernel's own words, in a line. It is empty where the
	// kernel printed none.
	Message string
	// File and Line are the place it names, below the kernel's source.
	File string
	Line int
	// Function is the one it names, or the first of the kernel's own in the
	// trace.
	Function string
	// Trace is the stack, innermost first. Symbolised, it is without the
	// machinery of panics and the standard library.
	Trace []Frame
	// At is when its first line came, Stage the last stage before that.
	At    time.Duration
	Stage Stage
	// Consoles are those on which it appeared.
	Consoles []string
	// Bare reports that no console had it as a line of the kernel's log: a
	// program may have printed it. A machine that goes on after a bare panic
	// has not panicked.
	Bare bool

	first  string // the first line of the message
	header string // normalised, for telling repeats
	stamp  string // the kernel's time, likewise
}

// Frame is one entry of a stack trace.
type Frame struct {
	// Function is its name; without symbols what the kernel printed.
	Function string
	// Address is where it was, as 0x and hexadecimal digits; empty where
	// the kernel gives none.
	Address string

	start uint64 // where its function starts, if the kernel says so
	pc    uint64
}

// maxCrashes and maxText bound what is kept of a guest that reports for ever.
const (
	maxCrashes = 32
	maxFrames  = 128
	maxMessage = 2 << 10
	maxBlock   = 250 // lines in which a report must end
)

// block is a report that is being read.
type block struct {
	crash   *Crash
	style   Style
	message bool // still reading the message
	tracing bool
	lines   int
}

// isHeader reports whether the text of a crash pattern, found in a line, begins
// a report there.
func (c *Console) isHeader(pattern int, line []byte, start, end int) bool {
	p := c.log.tables.Crashes[pattern]
	switch {
	case !c.begins(line, start),
		p.Early && c.log.initRuns(),
		p.With != "" && !bytes.Contains(line[end:], []byte(p.With)),
		p.Whole && len(bytes.TrimSpace(line[end:])) > 0:
		return false
	}
	return true
}

// startCrash opens a report, unless the line belongs to the one before.
func (c *Console) startCrash(at time.Duration, p CrashPattern, line []byte, start, end int) bool {
	last := c.last()
	if p.Text == stackTrace && last != nil && len(last.Trace) == 0 && last.Kind.rank() >= KindOops.rank() {
		c.open = &block{crash: last, style: p.Style, tracing: true}
		return true
	}
	to := len(line)
	for _, s := range c.segments {
		if s.kernel && s.start <= start && start < s.end {
			to = s.end
		}
	}
	header := strings.TrimSpace(strings.ToValidUTF8(string(line[start:to]), "\uFFFD"))
	if last != nil && c.since < maxBlock/2 && c.continues(p, last, header) {
		// "BUG: ...", "Oops: ..." and "Kernel panic - not syncing: Fatal
		// exception" are one defect; the first line says most.
		if p.Kind.rank() > last.Kind.rank() {
			last.Kind = p.Kind
			c.tell(at, last)
		}
		if c.open == nil || c.open.crash != last {
			c.open = &block{crash: last, style: p.Style}
		}
		return true
	}
	// A kernel's log read back in the guest is not another crash.
	stamp := c.stampAt(start)
	for _, old := range c.crashes {
		if stamp != "" && old.stamp == stamp && old.header == Normalize(header) {
			return true
		}
	}
	if len(c.crashes) >= maxCrashes {
		return false
	}
	l := c.log
	if start > 0 || !l.initRuns() {
		l.reach(StageKernel, at, c.name) // who reports is running
	}
	crash := &Crash{
		Kind: p.Kind, At: at, Consoles: []string{c.name}, Bare: !c.logged(start),
		header: Normalize(header), stamp: stamp,
	}
	if l.stage >= 0 {
		crash.Stage = Stages[l.stage]
	}
	b := &block{crash: crash, style: p.Style}
	switch {
	case p.Style != StyleAsterinas:
		crash.Message, crash.first = header, header
		if p.Text == "kernel BUG at " {
			crash.File, crash.Line = place(strings.TrimSuffix(strings.TrimPrefix(header, p.Text), "!"))
		}
	case p.Text == stackTrace:
		b.tracing = true
	case p.Text == "Uncaught panic:" || p.Text == "Oops!" || p.Text == "Non-resettable panic!":
		crash.Message = strings.TrimSpace(strings.TrimPrefix(header, p.Text))
		crash.first = crash.Message
		b.message = true
	default:
		crash.Message, crash.first = header, header
	}
	c.open, c.since = b, 0
	c.crashes = append(c.crashes, crash)
	c.tell(at, crash)
	return true
}

// tell announces a crash as far as it is known.
func (c *Console) tell(at time.Duration, crash *Crash) {
	seen := crash.copy()
	seen.finish(c.log.Symbols)
	c.log.queue = append(c.log.queue, Event{Kind: EventCrash, At: at, Console: c.name, Crash: seen})
}

func (c *Console) last() *Crash {
	if len(c.crashes) == 0 {
		return nil
	}
	return c.crashes[len(c.crashes)-1]
}

func (c *Console) stampAt(start int) string {
	for _, s := range c.segments {
		if s.kernel && s.start == start {
			return string(s.stamp)
		}
	}
	return ""
}

// continues reports whether a header goes on with the report before it.
func (c *Console) continues(p CrashPattern, last *Crash, header string) bool {
	if p.Style != StyleLinux || last.Kind == KindWarning || last.Kind == KindStall {
		// "Kernel panic - not syncing: softlockup: hung tasks" ends a stall.
		return p.Kind == KindPanic && last.Kind == KindStall && p.Style == StyleLinux
	}
	switch {
	case last.Kind == KindOops && p.Kind == KindPanic:
		return true
	case last.Kind == KindOops && p.Kind == KindOops:
		return strings.Contains(header, "[#") && !strings.Contains(last.Message, "[#")
	}
	return false
}

// continueCrash reads a line of the report that is open, and reports whether
// the line is part of it.
func (c *Console) continueCrash(line []byte) bool {
	b := c.open
	if b.lines++; b.lines > maxBlock {
		c.open = nil
		return false
	}
	text := line
	var logged bool
	for _, s := range c.segments {
		if s.kernel {
			text, logged = line[s.start:s.end], true
		}
	}
	switch b.style {
	case StyleAsterinas:
		if logged {
			// The next line of the log is after the report, but frames go on
			// on the console that has no log.
			b.message = false
			return false
		}
		return b.asterinas(text)
	case StyleLinux:
		return b.linux(text)
	}
	return false
}

var placeLine = regexp.MustCompile(`^\s*at (\S.*?):(\d+)(?::\d+)?\s*$`)

// asterinas reads a line of
//
//	Uncaught panic:
//		MESSAGE, maybe in several lines
//		at FILE:LINE
//		on CPU N by thread ...
//	Printing stack trace:
//	   1: fn 0x... - pc 0x... / registers:
func (b *block) asterinas(line []byte) bool {
	text := bytes.TrimSpace(line)
	if f, ok := asterinasFrame(text); ok {
		b.message, b.tracing = false, true
		if len(b.crash.Trace) < maxFrames {
			b.crash.Trace = append(b.crash.Trace, f)
		}
		return true
	}
	if b.tracing {
		return len(text) == 0 || bytes.Contains(text, []byte("0x")) && bytes.HasSuffix(text, []byte(";"))
	}
	if m := placeLine.FindSubmatch(line); m != nil {
		b.message = false
		b.crash.File, b.crash.Line = place(string(m[1]) + ":" + string(m[2]))
		return true
	}
	if bytes.HasPrefix(text, []byte("on CPU ")) {
		b.message = false
		return true
	}
	if b.message && len(text) > 0 && len(b.crash.Message)+len(text) < maxMessage {
		words := strings.ToValidUTF8(string(text), "\uFFFD")
		if b.crash.Message == "" {
			b.crash.Message, b.crash.first = words, words
		} else {
			b.crash.Message += " " + words
		}
		return true
	}
	return b.message
}

// asterinasFrame reads "   1: fn 0xffffffff883b5340 - pc 0xffffffff883b53a9 / registers:".
func asterinasFrame(text []byte) (Frame, bool) {
	n := digits(text)
	if n == 0 || !bytes.HasPrefix(text[n:], []byte(": fn ")) {
		return Frame{}, false
	}
	fn, rest, ok := bytes.Cut(text[n+len(": fn "):], []byte(" - pc "))
	if !ok {
		return Frame{}, false
	}
	pc, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	f := Frame{Address: string(pc)}
	var err error
	if f.pc, err = hex(string(pc)); err != nil {
		return Frame{}, false
	}
	if f.start, err = hex(string(bytes.TrimSpace(fn))); err != nil || f.start > f.pc {
		f.start = 0
	}
	f.Function = f.Address
	if f.start != 0 {
		f.Function = "0x" + strconv.FormatUint(f.start, 16) + "+0x" + strconv.FormatUint(f.pc-f.start, 16)
	}
	return f, true
}

func hex(s string) (uint64, error) { return strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64) }

var (
	linuxFrame = regexp.MustCompile(`^\s*(?:\[<?[0-9a-f ]+>?\] )?(\? )?(?:\[<([0-9a-f]+)>\] )?(\? )?([A-Za-z_.$][\w.$]*)\+(0x[0-9a-f]+)/0x[0-9a-f]+`)
	linuxPlace = regexp.MustCompile(`^\s*(?:RIP: [0-9a-f]{4}:|pc : |epc : |PC is at |IP: )(?:\[<[0-9a-f]+>\] )?([A-Za-z_.$][\w.$]*)\+(0x[0-9a-f]+)`)
	// registers begins the lines of a report that say nothing to a reader.
	registers = regexp.MustCompile(`^(CPU: |PID: |Hardware name: |Code: |R[A-Z0-9]{2}: |[CDEF]S: |CR\d: |DR\d: |EFLAGS|Modules linked in|#PF: |PGD |pstate: |sp : |x\d+ *: |Kernel Offset: |Tainted: |Sending NMI|\(detected by|Workqueue: |Stack:|Oops: |[0-9a-z ]+: [0-9a-f]{4} \[#)`)
	warnPlace = regexp.MustCompile(`^WARNING: CPU: \d+ PID: \d+ at (\S+:\d+) ([\w.$]+)`)
)

// linux reads a line of registers and "Call Trace:".
func (b *block) linux(line []byte) bool {
	if bytes.HasPrefix(bytes.TrimSpace(line), []byte("---[ end")) {
		b.lines = maxBlock
		return true
	}
	text := bytes.TrimSpace(line)
	if m := linuxPlace.FindSubmatch(text); m != nil {
		if b.crash.Function == "" && len(b.crash.Trace) == 0 {
			b.crash.Function = string(m[1])
			b.crash.Trace = []Frame{{Function: string(m[1]), Address: string(m[1]) + "+" + string(m[2])}}
		}
		return true
	}
	switch {
	case bytes.EqualFold(text, []byte("call trace:")), bytes.Equal(text, []byte("Backtrace:")):
		b.tracing = len(b.crash.Trace) <= 1 // none, or where it happened
		return true
	case bytes.HasSuffix(text, []byte("TASK>")) || bytes.HasSuffix(text, []byte("IRQ>")) || bytes.HasSuffix(text, []byte("NMI>")):
		return true
	}
	if !b.tracing {
		return registers.Match(text)
	}
	m := linuxFrame.FindSubmatch(line)
	if m == nil {
		b.tracing = len(b.crash.Trace) <= 1
		return registers.Match(text)
	}
	if len(m[1]) > 0 || len(m[3]) > 0 || len(b.crash.Trace) >= maxFrames {
		return true // "? f" is a leftover on the stack
	}
	f := Frame{Function: string(m[4])}
	if len(b.crash.Trace) == 1 && b.crash.Trace[0].Function == f.Function {
		return true // arm64 begins with where it happened
	}
	if len(m[2]) > 0 {
		f.Address = "0x" + string(m[2])
	} else {
		f.Address = string(m[4]) + "+" + string(m[5])
	}
	b.crash.Trace = append(b.crash.Trace, f)
	return true
}

var sourceRoot = regexp.MustCompile(`^.*?/((?:kernel|ostd|osdk)/.*)$`)

// place splits FILE:LINE; the file is cut to below the kernel's source.
func place(s string) (string, int) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0
	}
	line, err := strconv.Atoi(s[i+1:])
	if err != nil {
		return s, 0
	}
	file := s[:i]
	if m := sourceRoot.FindStringSubmatch(file); m != nil {
		file = m[1]
	}
	return file, line
}

func (c *Crash) copy() *Crash {
	d := *c
	d.Trace = slices.Clone(c.Trace)
	d.Consoles = slices.Clone(c.Consoles)
	return &d
}

// structTail is how the first line of a message ends that goes on with a printed
// structure: ": RawPageFaultInfo {".
var structTail = regexp.MustCompile(`[:;]? ?\b[A-Z]\w* \{$`)

// words are the first line of the message, without what announces a structure.
func (c *Crash) words() string {
	const limit = 300
	words := structTail.ReplaceAllString(c.first, "")
	return strings.ToValidUTF8(words[:min(len(words), limit)], "")
}

// finish symbolises the trace and makes the title.
func (c *Crash) finish(symbols *Symbols) {
	var named []Frame
	for i := range c.Trace {
		f := &c.Trace[i]
		at := f.start
		if at == 0 && f.pc > 0 {
			at = f.pc - 1 // a return address may lie after the function's end
		}
		if at == 0 {
			named = append(named, *f) // the kernel named it
			continue
		}
		if name := symbols.Name(at); name != "" {
			f.Function = name
			named = append(named, *f)
		}
	}
	if len(named) == 0 || symbols == nil && c.Trace[0].pc > 0 {
		named = nil
	}
	var own []Frame
	for _, f := range named {
		if !Machinery(f.Function) {
			own = append(own, f)
		}
	}
	if len(own) > 0 {
		c.Trace = own
	}
	if c.Function == "" && len(own) > 0 {
		c.Function = own[0].Function
	}
	words := Normalize(c.words())
	switch {
	case words == "" && c.Kind == KindOops:
		words = "oops without a message"
	case words == "":
		words = "panic without a message"
	}
	c.Title = words
	if c.Message != "" && strings.HasPrefix(c.Message, "WARNING: CPU") {
		if m := warnPlace.FindStringSubmatch(c.Message); m != nil {
			c.File, c.Line = place(m[1])
			c.Function = m[2]
			c.Title = "WARNING in " + m[2]
		}
		return
	}
	switch {
	case strings.Contains(c.Function, "::") || len(own) > 0 && own[0].pc > 0:
		if path := calls(own); path != "" {
			c.Title = path + ": " + words
		}
	case c.Function != "" && !strings.HasPrefix(c.Message, "Kernel panic") && !strings.Contains(words, " in "+c.Function):
		c.Title = words + " in " + short(c.Function)
	}
}

// calls is how the kernel came to its mistake, outermost first: from the
// system call, if it was in one, its first callee and the function itself.
func calls(own []Frame) string {
	if len(own) == 0 {
		return ""
	}
	names := []string{short(own[0].Function)}
	for i, f := range own {
		name := short(f.Function)
		if !strings.HasPrefix(name, "sys_") {
			continue
		}
		if i > 1 {
			names = append(names, short(own[i-1].Function))
		}
		if i > 0 {
			names = append(names, name)
		}
		break
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

// Reason says in one sentence what happened, with the numbers that Title
// leaves out.
func (c *Crash) Reason() string {
	var b strings.Builder
	switch {
	case c.Message == "":
		b.WriteString("kernel " + string(c.Kind) + " without a message: the kernel's log is off (ostd.log_level=error and loglevel=error show it)")
	case strings.HasPrefix(strings.ToLower(c.Message), "kernel "+string(c.Kind)):
		b.WriteString(c.words() + waitStatus(c.Message))
	default:
		b.WriteString("kernel " + string(c.Kind) + ": " + c.words() + waitStatus(c.Message))
	}
	if c.File != "" {
		b.WriteString(", at " + c.File)
		if c.Line > 0 {
			b.WriteString(":" + strconv.Itoa(c.Line))
		}
	}
	return b.String()
}

var exitCode = regexp.MustCompile(`init process terminates with code (\d+)|Attempted to kill init! exitcode=(0x[0-9a-f]+)`)

// waitStatus explains the status with which init ended (wait(2)).
func waitStatus(message string) string {
	m := exitCode.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	status, err := strconv.ParseUint(m[1]+m[2], 0, 32)
	if err != nil {
		return ""
	}
	if signal := status & 0x7f; signal != 0 {
		return " (init was killed by signal " + strconv.FormatUint(signal, 10) + ")"
	}
	return " (init exited with status " + strconv.FormatUint(status>>8&0xff, 10) + ")"
}
