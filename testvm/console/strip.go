package console

// stripper removes what steers a terminal from a byte stream: escape
// sequences and control characters other than tab, newline and carriage
// return. A sequence may be split anywhere between two reads.
//
// A guest must not be able to hide behind a sequence that it never ends (an
// operating system command is swallowed until its terminator): a newline ends
// every sequence, and none swallows more than maxSequence bytes.
type stripper struct {
	state escape
	n     int // bytes swallowed by the sequence
}

type escape uint8

const (
	ground    escape = iota
	escaped          // after ESC
	charset          // after ESC and an intermediate byte: one more follows
	control          // CSI: until a final byte
	text             // OSC, DCS, SOS, PM, APC: until BEL or ST
	textEnded        // in text, after ESC: a backslash completes ST
)

const maxSequence = 1 << 10

const (
	bel = 0x07
	can = 0x18
	sub = 0x1a
	esc = 0x1b
	del = 0x7f
)

// plain tells for each byte whether it is text in the ground state.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 256; i++ {
		t[i] = i != del
	}
	t['\t'] = true
	return t
}()

// strip appends the text in p to dst. Carriage returns and newlines are kept.
func (s *stripper) strip(dst, p []byte) []byte {
	for i := 0; i < len(p); {
		if s.state == ground {
			start := i
			for i < len(p) && plain[p[i]] {
				i++
			}
			dst = append(dst, p[start:i]...)
			if i == len(p) {
				return dst
			}
		}
		c := p[i]
		i++
		if c == '\n' || c == '\r' {
			s.state = ground
			dst = append(dst, c)
			continue
		}
		s.step(c)
	}
	return dst
}

// step takes one byte that is not text, or that is inside a sequence.
func (s *stripper) step(c byte) {
	if c == esc && s.state != text {
		s.state, s.n = escaped, 0
		return
	}
	if c == can || c == sub {
		s.state = ground
		return
	}
	if s.n++; s.n > maxSequence {
		s.state = ground
		return
	}
	switch s.state {
	case escaped:
		switch {
		case c == '[':
			s.state = control
		case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
			s.state = text
		case c >= 0x20 && c <= 0x2f:
			s.state = charset
		default:
			s.state = ground
		}
	case charset:
		if c < 0x20 || c > 0x2f {
			s.state = ground
		}
	case control:
		if c >= 0x40 && c <= 0x7e {
			s.state = ground
		}
	case text:
		switch c {
		case bel:
			s.state = ground
		case esc:
			s.state = textEnded
		}
	case textEnded:
		s.state = ground
	}
}

// Strip removes escape sequences and control characters from a whole text.
func Strip(p []byte) []byte {
	var s stripper
	return s.strip(make([]byte, 0, len(p)), p)
}
