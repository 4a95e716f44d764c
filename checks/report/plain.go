package report

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Plain makes text from elsewhere harmless as one line of plain text: escape
// sequences are removed, line ends and tabs become blanks, and characters that
// cannot be seen or that turn the direction of writing are replaced.
func Plain(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\r', '\t', '\v', '\f', '\u2028', '\u2029', '\u00a0':
			return ' '
		}
		return visible(r)
	}, strings.ToValidUTF8(strip(s), "�")))
}

// PlainLines does the same for a text of several lines, which keep their
// indentation.
func PlainLines(lines []string) []string {
	var out []string
	for _, l := range lines {
		for part := range strings.SplitSeq(strings.ToValidUTF8(strip(l), "�"), "\n") {
			out = append(out, strings.TrimRight(strings.Map(func(r rune) rune {
				switch r {
				case '\t', '\u00a0':
					return ' '
				case '\r':
					return -1
				}
				return visible(r)
			}, part), " "))
		}
	}
	return out
}

// visible replaces what cannot be seen: control characters, and format
// characters such as the bidirectional overrides of CVE-2021-42574.
func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
		return '�'
	}
	return r
}

// strip removes escape sequences, line by line: one that never ends takes no
// more than its line.
func strip(s string) string {
	if !strings.ContainsRune(s, '\x1b') && !strings.ContainsRune(s, '\u009b') {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = ansi.Strip(l)
	}
	return strings.Join(lines, "\n")
}
