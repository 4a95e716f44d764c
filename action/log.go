package action

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Log is a step's standard output. The runner acts upon lines that start with
// "::command::" after blanks, and upon "##[command]" anywhere in a line; so
// what others wrote goes between a stop-commands line with a fresh token and
// the line that takes it back, and its "##[" is broken up, which the
// log's viewer would act upon all the same.
//
// It is safe for use from several goroutines.
type Log struct {
	mu      sync.Mutex
	w       io.Writer
	token   string // commands are stopped until this one; empty while they are not
	pending []byte // of a foreign line that has not ended yet
	err     error
	random  io.Reader
}

// NewLog returns a Log that writes to w.
func NewLog(w io.Writer) *Log { return &Log{w: w, random: rand.Reader} }

// Level is how bad an annotation is.
type Level string

// The levels of annotations, as GitHub names them.
const (
	Notice  Level = "notice"
	Warning Level = "warning"
	Failure Level = "error"
)

// Annotation is a line that GitHub shows above the log, and beside the file.
type Annotation struct {
	Level Level
	// File is relative to the repository's root; it may be empty.
	File string
	// Line counts from 1; zero is unknown.
	Line    int
	Title   string
	Message string
}

// Foreign returns the writer for text that is not asterbot's own words alone:
// output of builds and guests, file names, titles.
func (l *Log) Foreign() io.Writer { return foreign{l} }

type foreign struct{ l *Log }

// maxForeignLine bounds what is kept of a line that does not end.
const maxForeignLine = 64 << 10

func (f foreign) Write(p []byte) (int, error) {
	l := f.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	l.pending = append(l.pending, p...)
	for {
		// The runner ends lines at each of them.
		i := bytes.IndexAny(l.pending, "\r\n")
		switch {
		case i >= 0:
			l.foreignLine(l.pending[:i])
			n := i + 1
			if l.pending[i] == '\r' && n < len(l.pending) && l.pending[n] == '\n' {
				n++
			}
			l.pending = l.pending[n:]
			continue
		case len(l.pending) > maxForeignLine:
			cut := maxForeignLine
			for cut > maxForeignLine-utf8.UTFMax && !utf8.RuneStart(l.pending[cut]) {
				cut--
			}
			l.foreignLine(l.pending[:cut])
			l.pending = l.pending[cut:]
			continue
		}
		break
	}
	if len(l.pending) == 0 {
		l.pending = nil
	}
	return len(p), l.err
}

func (l *Log) foreignLine(line []byte) {
	if l.token == "" {
		l.token = token(l.random)
		l.printf("::stop-commands::%s\n", l.token)
	}
	l.printf("%s\n", Defuse(string(line)))
}

// Defuse makes one line of text from elsewhere inert in a log: "##[" is broken
// up, control characters but tabs are made visible, and so are the ones that
// change the direction of text.
func Defuse(line string) string {
	line = strings.ToValidUTF8(line, "\uFFFD")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == 0x7f:
			return '␡'
		case r < 0x20:
			return '␀' + r
		case r >= 0x80 && r < 0xa0, r == '\u2028', r == '\u2029',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f':
			return '\uFFFD'
		}
		return r
	}, line)
	return strings.ReplaceAll(line, "##[", "##\u2060[")
}

// Annotate shows an annotation. Actions keeps ten of a level in a step and
// drops the rest.
func (l *Log) Annotate(a Annotation) {
	var props []string
	if a.File != "" {
		props = append(props, "file="+escapeProperty(a.File))
		if a.Line > 0 {
			props = append(props, fmt.Sprintf("line=%d", a.Line))
		}
	}
	if a.Title != "" {
		props = append(props, "title="+escapeProperty(a.Title))
	}
	l.command(string(a.Level), strings.Join(props, ","), a.Message)
}

// Mask keeps a secret out of the log.
func (l *Log) Mask(secret string) {
	// Each line by itself: the runner masks line by line.
	for line := range strings.Lines(secret) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			l.command("add-mask", "", line)
		}
	}
}

// Group begins a part of the log that is folded, under a title.
func (l *Log) Group(title string) { l.command("group", "", Defuse(title)) }

// EndGroup ends it.
func (l *Log) EndGroup() { l.command("endgroup", "", "") }

// Close ends the last foreign line and lets the runner see commands again.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resume()
	return l.err
}

func (l *Log) command(name, props, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resume()
	if props != "" {
		props = " " + props
	}
	l.printf("::%s%s::%s\n", name, props, escapeData(message))
}

func (l *Log) resume() {
	if len(l.pending) > 0 {
		l.foreignLine(l.pending)
		l.pending = nil
	}
	if l.token != "" {
		l.printf("::%s::\n", l.token)
		l.token = ""
	}
}

func (l *Log) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

// escapeData and escapeProperty are the runner's own encoding
// (actions/runner, ActionCommand.cs).
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData(s))
}

// token is a word of 128 random bits, which nothing that is written to a log
// or a file can have foreseen.
func token(random io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		// crypto/rand never fails; a test's reader may run dry.
		panic("action: no random bytes: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}
