package console_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/testvm/console"
)

// seeds adds the recorded streams to a fuzz target.
func seeds(f *testing.F) {
	for _, d := range devices {
		files, err := filepath.Glob("testdata/*." + d)
		require.NoError(f, err)
		for _, name := range files {
			b, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(bytes.ReplaceAll(b, []byte("␛"), []byte("\x1b")), uint16(len(b)/3), name[len("testdata/")] == 'a')
		}
	}
	f.Add([]byte("\x1b]\x1b[\x1b\x1b"), uint16(1), true)
	f.Add(bytes.Repeat([]byte("[     1.000] WARN  : x"), 1000), uint16(77), true)
}

// Whatever a guest writes: the story does not depend on where the reads were
// split, all of it can be shown, and it is bounded.
func FuzzAnyBytesTellOneStory(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, split uint16, asterinas bool) {
		tables := console.Linux()
		if asterinas {
			tables = console.Asterinas()
		}
		whole, parts := console.NewLog(tables, nil), console.NewLog(tables, nil)
		whole.Console("c").Feed(0, data)
		at := min(int(split), len(data))
		parts.Console("c").Feed(0, data[:at])
		parts.Console("c").Feed(0, data[at:])
		whole.Flush(0)
		parts.Flush(0)
		want := describe(whole)
		// A prompt shows only where a read ends, and init with it.
		if got := describe(parts); !strings.Contains(want+got, "init") {
			require.Equal(t, want, got)
		}
		assert.True(t, utf8.ValidString(want))
		s := whole.Story()
		assert.LessOrEqual(t, len(s.Crashes), 64)
		for _, c := range s.Crashes {
			assert.NotEmpty(t, c.Title)
			assert.LessOrEqual(t, len(c.Title), 4096)
			assert.LessOrEqual(t, len(c.Trace), 200)
		}
		for _, b := range console.Strip(data) {
			assert.False(t, b < 0x20 && b != '\n' && b != '\r' && b != '\t', "byte %#x", b)
		}
	})
}

// Two consoles that tell the same panic tell one panic.
func FuzzTwoConsolesTellOneStory(f *testing.F) {
	f.Add("ring overflowed", "kernel/src/fs.rs:7", 3.5)
	f.Add("a 0x12345678 b", "x:1", 0.0)
	f.Fuzz(func(t *testing.T, message, place string, _ float64) {
		if strings.ContainsAny(message+place, "\r\n\x1b") {
			t.Skip("not one line")
		}
		text := []byte("[     2.500] ERROR : Uncaught panic:\n\t" + message + "\n\tat " + place + "\n")
		l := console.NewLog(console.Asterinas(), nil)
		l.Console("hvc0").Feed(time.Second, text)
		l.Console("ttyS0").Feed(2*time.Second, text)
		s := l.Story()
		require.Len(t, s.Crashes, 1)
		assert.Equal(t, []string{"hvc0", "ttyS0"}, s.Crashes[0].Consoles)
		assert.Equal(t, time.Second, s.Crashes[0].At)
	})
}

// A hostile kernel image may claim to have any symbols.
func FuzzSymbols(f *testing.F) {
	f.Add([]byte("ffffffff80001000 T ostd::panic::print_stack_trace\n"), uint64(0xffffffff80001003))
	if self, err := os.Executable(); err == nil {
		if b, err := os.ReadFile(self); err == nil {
			f.Add(b[:min(len(b), 64<<10)], uint64(0x401000))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, addr uint64) {
		s, err := console.ReadSymbols(bytes.NewReader(data))
		if err != nil {
			return
		}
		s.Name(addr)
	})
}
