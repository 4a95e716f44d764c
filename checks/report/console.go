package report

import (
	"bytes"
	"html/template"
	"regexp"
	"strings"

	ansihtml "github.com/buildkite/terminal-to-html/v3"
)

// commandStrings are the escape sequences that carry text to the terminal
// itself: OSC, DCS, APC and the like. terminal-to-html turns some of them into
// links and images, which a guest must not be able to place in a page.
var commandStrings = regexp.MustCompile("(?s)(?:\x1b[\\]PX^_]|\u009d|\u0090|\u0098|\u009e|\u009f)[^\n]*?(?:\a|\x1b\\\\|\u009c|\n|$)")

// clears are the sequences that wipe what came before: the report shows all of
// it.
var clears = regexp.MustCompile("\x1b(?:c|\\[[0-3]?J|\\[\\?1049[hl])")

// Console renders a console's bytes as HTML, colours and cursor movements
// included.
func Console(raw []byte) template.HTML {
	if len(raw) == 0 {
		return ""
	}
	raw = bytes.ToValidUTF8(raw, []byte("�"))
	raw = commandStrings.ReplaceAll(raw, []byte("\n"))
	raw = clears.ReplaceAll(raw, []byte("\r\n"))
	raw = bytes.ReplaceAll(raw, []byte("\t"), []byte("    "))
	screen, err := ansihtml.NewScreen(ansihtml.WithSize(240, 50), ansihtml.WithMaxSize(400, 20000))
	if err != nil {
		return ""
	}
	if _, err := screen.Write(raw); err != nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r < ' ':
			return -1
		}
		return visible(r)
	}, screen.AsHTML())
	text = strings.TrimLeft(strings.ReplaceAll(text, "&nbsp;", ""), "\n")
	return template.HTML(text) // escaped by terminal-to-html
}
