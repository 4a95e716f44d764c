package console

import (
	"bytes"
	"strings"
)

// Lines is an io.Writer that hands out the lines of a console as they end,
// without what steers a terminal. A line longer than 8 KiB comes in parts.
type Lines struct {
	// Line is called with each line; it may keep it.
	Line func(string)

	strip   stripper
	scratch []byte
	line    []byte
}

// Write takes what the console said. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		p = p[len(part):]
		l.scratch = l.strip.strip(l.scratch[:0], part)
		for text := l.scratch; len(text) > 0; {
			end := bytes.IndexAny(text, "\r\n")
			piece := text
			if end >= 0 {
				piece = text[:end]
			}
			piece = piece[:min(len(piece), maxLine-len(l.line))]
			l.line = append(l.line, piece...)
			text = text[len(piece):]
			ended := len(text) > 0 && (text[0] == '\n' || text[0] == '\r')
			if ended {
				text = text[1:]
			}
			if ended || len(l.line) >= maxLine {
				l.Flush()
			}
		}
	}
	return n, nil
}

// Flush hands out a line that has not ended.
func (l *Lines) Flush() {
	if len(l.line) > 0 {
		l.Line(strings.ToValidUTF8(string(l.line), "\uFFFD"))
	}
	l.line = l.line[:0]
}
