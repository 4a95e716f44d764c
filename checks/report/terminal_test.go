package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

func terminal(t *testing.T, r *checks.Report, opt report.TerminalOptions) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Terminal(&b, r, opt))
	return b.String()
}

func TestTerminal(t *testing.T) {
	golden(t, "terminal-120.txt", []byte(terminal(t, sample(), report.TerminalOptions{Colour: true, Width: 120, Dir: "out"})))
	golden(t, "plain.txt", []byte(terminal(t, sample(), report.TerminalOptions{Dir: "out"})))
}

func TestAPipeGetsNoEscapeSequences(t *testing.T) {
	assert.NotContains(t, terminal(t, sample(), report.TerminalOptions{}), "\x1b")
	assert.NotContains(t, terminal(t, hostileReport(), report.TerminalOptions{}), "\x1b")
}

func TestATerminalIsNeverOverrunButByCommands(t *testing.T) {
	for _, width := range []int{80, 120} {
		for i, line := range strings.Split(terminal(t, sample(), report.TerminalOptions{Colour: true, Width: width}), "\n") {
			if i > 1 && !strings.Contains(line, "reproduce") {
				assert.LessOrEqual(t, ansi.StringWidth(line), width, "%q", line)
			}
		}
	}
}

func TestHostileTextSendsNoEscapeSequencesToATerminal(t *testing.T) {
	text := terminal(t, hostileReport(), report.TerminalOptions{Colour: true, Width: 100})
	for _, bad := range []string{"\u202e", "\u2066", "\r", "\x1b]"} {
		assert.NotContains(t, text, bad)
	}
	// All that is left are our own colours.
	for _, seq := range strings.Split(text, "\x1b")[1:] {
		assert.Regexp(t, `^\[[0-9;]*m`, seq)
	}
}
