package console

import (
	"bytes"
	"strconv"
)

// Level is a level of the kernel's log.
type Level uint8

// The levels, LevelNone for lines that tell none, as Linux's.
const (
	LevelNone Level = iota
	LevelEmergency
	LevelAlert
	LevelCritical
	LevelError
	LevelWarn
	LevelNotice
	LevelInfo
	LevelDebug
	LevelTrace
	levels
)

var levelNames = [levels]string{"", "EMERG", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG", "TRACE"}

func (l Level) String() string { return levelNames[l] }

// segment is a part of a line: the kernel's, after its prefix, or other output.
type segment struct {
	start, end int // of the text, without the prefix
	kernel     bool
	level      Level
	stamp      []byte // its time as printed
}

// split cuts a line into segments. The kernel may write into the middle of a
// line that a program has not ended yet.
func (c *Console) split(dst []segment, line []byte) []segment {
	from, at := 0, 0
	for {
		i := bytes.IndexByte(line[at:], '[')
		if i < 0 {
			break
		}
		at += i
		n, level, stamp, clock, ok := prefix(line[at:])
		if ok && !c.log.initRuns() {
			c.log.own[clock] = true
		}
		if !ok || !c.log.own[clock] {
			at++
			continue
		}
		head := at
		if head >= 3 && line[head-1] == '>' && line[head-3] == '<' { // "<6>[ ..."
			head -= 3
		}
		dst = cut(dst, from, head)
		dst = append(dst, segment{kernel: true, level: level, stamp: stamp})
		from, at = at+n, at+n
		dst[len(dst)-1].start = from
	}
	return cut(dst, from, len(line))
}

// cut ends the last segment at to, or makes one of other output.
func cut(dst []segment, from, to int) []segment {
	if n := len(dst); n > 0 && dst[n-1].kernel && dst[n-1].end == 0 {
		dst[n-1].end = to
		return dst
	}
	if from < to {
		return append(dst, segment{start: from, end: to})
	}
	return dst
}

// prefix reads what a kernel writes before a line of its log, and returns its
// length:
//
//	[    1.234567] text              Linux, printk.time
//	[    1.234567][    T1] text      Linux, printk.caller
//	[     0.731] WARN  : text        Asterinas
func prefix(b []byte) (n int, level Level, stamp []byte, clock Clock, ok bool) {
	i := 1
	for i < len(b) && b[i] == ' ' {
		i++
	}
	whole := digits(b[i:])
	if whole == 0 || i+whole >= len(b) || b[i+whole] != '.' {
		return 0, 0, nil, 0, false
	}
	from := i
	i += whole + 1
	fraction := digits(b[i:])
	i += fraction
	if i >= len(b) || b[i] != ']' || fraction != 3 && fraction != 6 {
		return 0, 0, nil, 0, false
	}
	to := i
	i++
	if clock = ClockMicro; fraction == 3 {
		clock = ClockMilli
	}
	if clock == ClockMicro {
		i += caller(b[i:])
		if i < len(b) && b[i] == ' ' {
			i++
		}
	} else {
		word := 0
		if i < len(b) && b[i] == ' ' {
			level, word = levelWord(b[i+1:])
		}
		if word == 0 {
			return 0, 0, nil, 0, false
		}
		i += 1 + word
	}
	return i, level, b[from:to], clock, true
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && n < 12 && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// caller is the length of "[    T1]" or "[    C0]".
func caller(b []byte) int {
	if len(b) == 0 || b[0] != '[' {
		return 0
	}
	i := 1
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if i >= len(b) || b[i] != 'T' && b[i] != 'C' {
		return 0
	}
	i++
	n := digits(b[i:])
	if n == 0 || i+n >= len(b) || b[i+n] != ']' {
		return 0
	}
	return i + n + 1
}

// levelWord reads "WARN  : " or "WARN: " and returns its length.
func levelWord(b []byte) (Level, int) {
	for l := LevelEmergency; l < levels; l++ {
		name := levelNames[l]
		if len(b) < len(name) || string(b[:len(name)]) != name {
			continue
		}
		i := len(name)
		for i < len(b) && b[i] == ' ' {
			i++
		}
		if i < len(b) && b[i] == ':' {
			i++
			for i < len(b) && b[i] == ' ' {
				i++
			}
			return l, i
		}
	}
	return LevelNone, 0
}

// Normalize replaces what differs from run to run in a line of the kernel's:
// addresses by ADDR, other numbers by N. Numbers that are names stay: a system
// call's, with its name added.
func Normalize(line string) string { return string(normalize(nil, []byte(line))) }

// numbered are texts whose number is a name.
var numbered = []struct {
	before  string
	syscall bool
}{
	{"syscall number: ", true},
	{"syscall number ", true},
	{"syscall nr ", true},
	{"errno ", false},
	{"errno: ", false},
	{"signal ", false},
}

func normalize(dst, b []byte) []byte {
	start := len(dst)
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case !isHex(c):
			dst = append(dst, c)
			i++
		case i > 0 && isWord(b[i-1]):
			// Inside a word: ext4, vda1, rcu_sched.
			for i < len(b) && isWord(b[i]) {
				dst = append(dst, b[i])
				i++
			}
		default:
			i, dst = number(dst, b, i, start)
		}
	}
	return dst
}

// number appends the word at b[i:], replaced if it is a number, and returns
// where it ends.
func number(dst, b []byte, i, start int) (int, []byte) {
	if b[i] == '0' && i+2 < len(b) && b[i+1] == 'x' && isHex(b[i+2]) {
		j := i + 2
		for j < len(b) && isHex(b[j]) {
			j++
		}
		if j-i-2 > 8 {
			return j, append(dst, "ADDR"...)
		}
		return j, append(dst, 'N')
	}
	j, hasDigit, decimal := i, false, true
	for j < len(b) && isHex(b[j]) {
		if b[j] >= '0' && b[j] <= '9' {
			hasDigit = true
		} else {
			decimal = false
		}
		j++
	}
	end := j
	for j < len(b) && isWord(b[j]) {
		j++
	}
	switch {
	case decimal && j == end && j-i == 16:
		return j, append(dst, "ADDR"...) // without letters by chance
	case decimal && j == end:
		for _, n := range numbered {
			if !bytes.HasSuffix(dst[start:], []byte(n.before)) {
				continue
			}
			dst = append(dst, b[i:j]...)
			if value, err := strconv.Atoi(string(b[i:j])); err == nil && n.syscall && SyscallName(value) != "" {
				dst = append(dst, " ("...)
				dst = append(dst, SyscallName(value)...)
				dst = append(dst, ')')
			}
			return j, dst
		}
		return j, append(dst, 'N')
	case decimal && unit(b[end:j]):
		dst = append(dst, 'N')
		return j, append(dst, b[end:j]...)
	case hasDigit && end-i >= 8 && j == end:
		return j, append(dst, "ADDR"...)
	}
	return j, append(dst, b[i:j]...)
}

// unit reports whether a word after digits is a unit, as in 23s or 512kB.
func unit(b []byte) bool {
	switch string(b) {
	case "s", "ms", "us", "ns", "B", "kB", "KB", "MB", "GB", "K", "M", "G", "k", "KiB", "MiB", "GiB", "Hz", "kHz", "MHz", "GHz":
		return true
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
