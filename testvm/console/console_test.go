package console_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm/console"
)

var update = flag.Bool("update", false, "write the golden files anew")

// devices are the consoles a stream may have, as file extensions.
var devices = []string{"hvc0", "ttyS0"}

// stream reads testdata/NAME.DEVICE; ␛ stands for an escape character there.
func stream(t *testing.T, name, device string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name+"."+device))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	return bytes.ReplaceAll(b, []byte("␛"), []byte("\x1b"))
}

// tell reads the consoles of a machine in pieces of the given size, each
// console after the other, and returns what they told.
func tell(t *testing.T, name string, piece int) *console.Log {
	tables := console.Asterinas()
	if !strings.HasPrefix(name, "asterinas") {
		tables = console.Linux()
	}
	l := console.NewLog(tables, nil)
	if f, err := os.Open(filepath.Join("testdata", name+".symbols")); err == nil {
		defer f.Close()
		l.Symbols, err = console.ReadSymbols(f)
		require.NoError(t, err)
	}
	for _, d := range devices {
		b := stream(t, name, d)
		for len(b) > 0 {
			n := min(piece, len(b))
			l.Console(d).Feed(time.Second, b[:n])
			b = b[n:]
		}
	}
	l.Flush(time.Second)
	return l
}

// describe writes a story down for a golden file.
func describe(l *console.Log) string {
	var b strings.Builder
	s := l.Story()
	b.WriteString("stages:")
	for _, r := range s.Stages {
		b.WriteString(" " + string(r.Stage))
	}
	fmt.Fprintf(&b, "\nboots: %d\n", s.Boots)
	if s.End != console.EndNone {
		fmt.Fprintf(&b, "end: %s\n", s.End)
	}
	for _, c := range s.Crashes {
		mark := ""
		if c == s.Decisive() {
			mark = " (decides)"
		}
		if c.Bare {
			mark += " (bare)"
		}
		fmt.Fprintf(&b, "%s%s on %s at stage %s\n  title: %s\n  reason: %s\n", c.Kind, mark, strings.Join(c.Consoles, "+"), c.Stage, c.Title, c.Reason())
		for _, f := range c.Trace {
			fmt.Fprintf(&b, "  %s %s\n", f.Address, f.Function)
		}
	}
	for _, line := range l.KernelSince(console.Mark{}, "hvc0") {
		fmt.Fprintf(&b, "kernel: %s\n", line)
	}
	return b.String()
}

func TestStreamsTellTheirStory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range files {
		for _, d := range devices {
			if name, ok := strings.CutSuffix(filepath.Base(f), "."+d); ok {
				names[name] = true
			}
		}
	}
	require.NotEmpty(t, names)
	for name := range names {
		t.Run(name, func(t *testing.T) {
			got := describe(tell(t, name, 1<<20))
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
			for _, piece := range []int{1, 2, 7, 4096} {
				assert.Equal(t, got, describe(tell(t, name, piece)), "read in pieces of %d bytes", piece)
			}
		})
	}
}

func TestALineOfTheKernelsIsNormalised(t *testing.T) {
	for _, c := range []struct{ what, line, want string }{
		{"an address goes", "fault at 0xffff80003ffe2305", "fault at ADDR"},
		{"a bare address goes", "address: 0000000000000038", "address: ADDR"},
		{"a bare address with letters goes", "pte ffff888003a41000", "pte ADDR"},
		{"a number goes", "PID 337: terminating on signal SIGKILL", "PID N: terminating on signal SIGKILL"},
		{"a small hexadecimal number goes", "error 0x10", "error N"},
		{"a line number goes", "at kernel/src/init.rs:108", "at kernel/src/init.rs:N"},
		{"a name with a digit stays", "EXT4-fs (vda1): ext4 x86_64 mounted", "EXT4-fs (vda1): ext4 x86_64 mounted"},
		{"a word of hexadecimal letters stays", "bad face added", "bad face added"},
		{"a unit stays", "stuck for 22s, 512kB free", "stuck for Ns, NkB free"},
		{"a system call is a name", "Unimplemented syscall number: 437", "Unimplemented syscall number: 437 (openat2)"},
		{"a system call nobody knows has none", "Unimplemented syscall number: 9999", "Unimplemented syscall number: 9999"},
		{"flags stay", "unsupported flags: MSG_PEEK | MSG_TRUNC", "unsupported flags: MSG_PEEK | MSG_TRUNC"},
		{"nothing stays nothing", "", ""},
	} {
		t.Run(c.what, func(t *testing.T) { assert.Equal(t, c.want, console.Normalize(c.line)) })
	}
}

func TestTheKernelsLinesOfACase(t *testing.T) {
	l := console.NewLog(console.Asterinas(), nil)
	say := func(device, line string) { l.Console(device).Feed(0, []byte(line+"\n")) }
	say("hvc0", "[     1.000] WARN  : before")
	say("hvc0", "[     1.100] WARN  : again and again")
	mark := l.Mark()
	say("hvc0", "output [     2.000] WARN  : inside a line")
	say("hvc0", "[     2.100] WARN  : again and again")
	say("hvc0", "[     2.200] WARN  : again and again")
	say("ttyS0", "[     1.000] WARN  : before, from a slow port")
	assert.Equal(t, []string{"inside a line", "again and again"}, l.KernelSince(mark, "hvc0"))
	assert.Equal(t, []string{"before, from a slow port"}, l.KernelSince(mark, "ttyS0"))
	assert.Len(t, l.KernelSince(mark, "hvc1"), 3, "a console without the kernel's log")
	assert.Empty(t, l.KernelSince(l.Mark(), "hvc0"))
}

func TestEventsComeAsSoonAsTheyAreSeen(t *testing.T) {
	l := console.NewLog(console.Asterinas(), func() time.Duration { return 5 * time.Second })
	var got []string
	l.Notify = func(e console.Event) {
		switch e.Kind {
		case console.EventStage:
			got = append(got, "stage "+string(e.Stage))
		case console.EventPrompt:
			got = append(got, "prompt "+e.Text)
		case console.EventCrash:
			got = append(got, fmt.Sprintf("crash %s %q", e.Crash.Kind, e.Crash.Message))
		case console.EventEnd:
			got = append(got, "end "+string(e.End))
		}
		assert.Equal(t, 5*time.Second, e.At)
	}
	hvc0 := l.Console("hvc0")
	for _, s := range []string{
		"[kernel] rootfs is re", "ady\n", "Released under Mozilla Public License v2.0\n\n",
		"\x1b[1m/ # \x1b[6n", "true\n/ # ", "exit\n", "[     2.582] \x1b[31mERROR \x1b[0m: Uncaught panic:\n",
	} {
		fmt.Fprint(hvc0, s)
	}
	l.Reach(console.StageReady, 5*time.Second)
	assert.Equal(t, []string{"stage rootfs", "stage init", "prompt / # ", "prompt / # ", `crash panic ""`, "stage ready"}, got)
}

func TestConfigurationAddsPatterns(t *testing.T) {
	tables := console.Linux()
	tables.Crashes = append(tables.Crashes, console.CrashPattern{Kind: console.KindPanic, Regexp: regexp.MustCompile(`FATAL\(\d+\): .*`)})
	l := console.NewLog(tables, nil)
	l.Console("ttyS0").Feed(0, []byte("all is well\nmon: FATAL(7): out of cheese\n"))
	c := l.Story().Decisive()
	require.NotNil(t, c)
	assert.Equal(t, "FATAL(N): out of cheese", c.Title)
}

func TestAKernelThatLogsTooMuchIsNamed(t *testing.T) {
	flood := func(tables console.Tables, line string, n int) *console.Flood {
		l := console.NewLog(tables, nil)
		for i := range n {
			l.Console("hvc0").Feed(0, fmt.Appendf(nil, line+"\n", float64(i)/1000, i))
		}
		s := l.Story()
		return s.Flood
	}
	f := flood(console.Asterinas(), "[%10.3f] DEBUG : Load FPU context %d", 4000)
	require.NotNil(t, f)
	assert.Equal(t, console.LevelDebug, f.Level)
	assert.Contains(t, f.Cause(), "log level is debug")
	assert.Nil(t, flood(console.Asterinas(), "[%10.3f] WARN  : Unimplemented syscall number: %d", 4000), "warnings are wanted")
	assert.NotNil(t, flood(console.Linux(), "[%12.6f] tick %d", 4000))
	assert.Nil(t, flood(console.Linux(), "[%12.6f] usb %d", 1000), "a verbose boot of Linux")
}

// A line that never ends is read in parts; nothing may be lost at a seam.
func TestATextInAnEndlessLineIsFoundWhereverItStands(t *testing.T) {
	for at := 8100; at < 8300; at++ {
		l := console.NewLog(console.Linux(), nil)
		l.Console("ttyS0").Feed(0, bytes.Repeat([]byte("x"), at))
		l.Console("ttyS0").Feed(0, []byte("OSTD initialized. Preparing components."))
		l.Console("ttyS0").Feed(0, bytes.Repeat([]byte("x"), 9000))
		l.Flush(0)
		s := l.Story()
		require.Equal(t, console.StageComponents, s.Stage(), "at byte %d", at)
		require.Equal(t, 1, s.Boots, "at byte %d", at)
	}
}

func TestStripKeepsTextAndDropsTheRest(t *testing.T) {
	for _, c := range []struct{ what, in, want string }{
		{"colours", "\x1b[32m[ 1.0]\x1b[0m x", "[ 1.0] x"},
		{"a cursor query", "/ # \x1b[6n", "/ # "},
		{"a title ended by BEL", "\x1b]0;title\x07x", "x"},
		{"a title ended by ST", "\x1b]0;title\x1b\\x", "x"},
		{"a title that never ends", "\x1b]0;title\nx", "\nx"},
		{"a character set", "\x1b(Bx", "x"},
		{"a reset", "\x1bcx", "x"},
		{"control characters", "a\x00b\x08c\x7fd\te\x9bf", "abcd\te\x9bf"},
		{"UTF-8", "naïve — ✓", "naïve — ✓"},
		{"two escapes in a row", "\x1b\x1b[1mx", "x"},
	} {
		t.Run(c.what, func(t *testing.T) { assert.Equal(t, c.want, string(console.Strip([]byte(c.in)))) })
	}
}
