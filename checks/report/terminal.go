package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/asterinas/asterbot/checks"
)

// TerminalOptions say what the reader's terminal can do.
type TerminalOptions struct {
	// Colour allows escape sequences for colours.
	Colour bool
	// Width is the terminal's, in columns; zero is no terminal: plain lines of
	// any length.
	Width int
	// Dir is where the whole report lies, to be named at the end.
	Dir string
}

// Terminal writes a report for a terminal, or as plain lines for a pipe. Its
// first line is the answer. Text from elsewhere cannot send escape sequences.
func Terminal(w io.Writer, r *checks.Report, opt TerminalOptions) error {
	v := arrange(r)
	t := newTerminal(w, opt)
	t.line("%s %s", t.tone(conclusionTone[r.Conclusion], conclusionMark[r.Conclusion]), t.bold(v.Answer))
	if len(v.Besides) > 0 {
		t.para("  ", strings.Join(v.Besides, "; "))
	}
	t.about(v)
	for _, e := range r.Errors {
		t.para(t.tone("unknown", "?")+" ", Plain(e))
	}
	t.table(v.Rows)
	for _, f := range v.Failures {
		t.failure(f)
	}
	if len(v.Fixed) > 0 {
		t.line("")
		for _, f := range v.Fixed {
			t.para(t.tone("good", "fixed:")+" ", f)
		}
	}
	for _, g := range v.Unseen {
		var names []string
		for _, c := range g.Cases {
			names = append(names, c.Subject+" "+c.Name)
		}
		t.line("")
		t.para(t.tone("unknown", "? "+count(len(g.Cases), "case")+" could not be looked at:")+" ", clip(Plain(g.Reason), 1000))
		t.para("  ", t.dim(some(names, 6, "")))
	}
	if r.Plan != nil && len(r.Plan.Omitted) > 0 {
		t.line("")
		for _, o := range r.Plan.Omitted {
			t.para(t.tone("unknown", "not looked at:")+" ", Plain(omission(o)))
		}
	}
	if len(r.Notices) > 0 {
		t.line("")
		for _, n := range r.Notices {
			t.para(t.dim("notice:")+" ", Plain(n))
		}
	}
	if opt.Dir != "" {
		t.line("")
		t.line("%s %s", t.dim("whole report:"), strings.TrimSuffix(opt.Dir, "/")+"/report.html")
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

var conclusionTone = map[checks.Conclusion]string{checks.Success: "good", checks.Failure: "bad", checks.Errored: "unknown", checks.Skipped: "none"}
var conclusionMark = map[checks.Conclusion]string{checks.Success: "✓", checks.Failure: "✗", checks.Errored: "?", checks.Skipped: "–"}

type terminal struct {
	b   strings.Builder
	opt TerminalOptions
	lg  *lipgloss.Renderer
}

func newTerminal(w io.Writer, opt TerminalOptions) *terminal {
	lg := lipgloss.NewRenderer(w)
	lg.SetColorProfile(termenv.Ascii)
	if opt.Colour {
		lg.SetColorProfile(termenv.ANSI) // the reader's own sixteen colours
	}
	return &terminal{opt: opt, lg: lg}
}

func (t *terminal) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format, args...)
	t.b.WriteByte('\n')
}

func (t *terminal) bold(s string) string { return t.lg.NewStyle().Bold(true).Render(s) }
func (t *terminal) dim(s string) string  { return t.lg.NewStyle().Faint(true).Render(s) }

var terminalColour = map[string]string{"bad": "1", "unknown": "5", "warn": "3", "good": "2"}

func (t *terminal) style(tone string) lipgloss.Style {
	s := t.lg.NewStyle()
	if c, ok := terminalColour[tone]; ok {
		s = s.Foreground(lipgloss.Color(c))
	}
	return s
}

func (t *terminal) tone(tone, s string) string { return t.style(tone).Render(s) }

// about says what was compared.
func (t *terminal) about(v view) {
	var parts []string
	if v.Change.Base != "" {
		parts = append(parts, short(v.Change.Base)+" → "+short(v.Change.Head))
	}
	if v.Plan != nil && len(v.Plan.Scope) > 0 {
		parts = append(parts, "touches "+and(list(v.Plan.Scope...)))
	}
	if s := tally(v.Report); s != "" {
		parts = append(parts, s)
	}
	if v.Seconds > 0 {
		parts = append(parts, duration(v.Seconds))
	}
	if len(parts) > 0 {
		t.para("  ", t.dim(strings.Join(parts, " · ")))
	}
}

// table shows one row per package, image and suite; of many calm ones only how
// many there are. Where root causes do not fit beside the rows, those that
// matter go below them.
func (t *terminal) table(rows []row) {
	const calmShown = 15
	var calm int
	var shown []row
	for _, r := range rows {
		if r.Rank >= rankNew {
			if calm++; calm > calmShown {
				continue
			}
		}
		shown = append(shown, r)
	}
	if len(shown) == 0 {
		return
	}
	lines := t.tableLines(shown, true)
	below := false
	for _, l := range lines {
		below = below || t.opt.Width > 0 && ansi.StringWidth(l) > t.opt.Width
	}
	if below {
		lines = t.tableLines(shown, false)
	}
	t.line("")
	for i, l := range lines {
		if t.opt.Width > 0 {
			l = ansi.Truncate(l, t.opt.Width, "…")
		}
		t.line("%s", l)
		if i > 0 && below && shown[i-1].Rank < rankNew && shown[i-1].Cause != "" {
			t.para("   ↳ ", t.dim(clip(Plain(shown[i-1].Cause), 300)))
		}
	}
	if calm > calmShown {
		t.line("%s", t.dim(fmt.Sprintf("   and %s without a change for the worse", count(calm-calmShown, "more row"))))
	}
}

// tableLines are the head and a line for each row.
func (t *terminal) tableLines(rows []row, causes bool) []string {
	head := []string{"", "", "eval", "build", "boot", "tests", "base → head"}
	if causes {
		head = append(head, "root cause")
	}
	body := make([][]string, len(rows))
	for i, r := range rows {
		change := r.Change()
		if r.Remembered != "" {
			change += " (" + r.Remembered + ")"
		}
		body[i] = []string{r.Mark(), ofWord(r.Of) + " " + clip(Plain(r.Subject), 40), r.Eval.Short(), r.Build.Short(), r.Boot.Short(), r.Tests.Short(), change}
		if causes {
			body[i] = append(body[i], clip(Plain(r.Cause), 300))
		}
	}
	text := table.New().
		Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderHeader(false).BorderColumn(false).
		Headers(head...).
		Rows(body...).
		StyleFunc(func(row, col int) lipgloss.Style {
			s := t.lg.NewStyle().PaddingRight(2)
			switch {
			case row == table.HeaderRow:
				return s.Faint(true)
			case col == 0 || col == 6:
				return t.style(rows[row].Tone()).PaddingRight(2)
			case col == 7:
				return s.Faint(true).PaddingRight(0)
			case col >= 2:
				return t.style(cellTone(body[row][col])).PaddingRight(2)
			}
			return s
		}).Render()
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// cellTone reads a cell's colour off its mark.
func cellTone(text string) string {
	for tone, mark := range marks {
		if strings.HasPrefix(text, mark) {
			return tone
		}
	}
	return ""
}

func (t *terminal) failure(f failure) {
	tone := tone(rank(f.Result))
	t.line("")
	t.line("%s", t.style(tone).Bold(true).Render(marks[tone]+" "+f.Title))
	about := fmt.Sprintf("%s, %s → %s, %s", f.About(), f.Was, f.Now, word(f.Result))
	if s := f.Runs(); s != "" {
		about += ", " + s
	}
	if f.Remembered != "" {
		day, _, _ := strings.Cut(f.Remembered, "T")
		about += ", remembered from " + Plain(day)
	}
	t.para("  ", t.dim(about))
	item := func(name, text string) {
		if text != "" {
			t.wrapped(name, clip(text, 1000))
		}
	}
	item("reason", Plain(f.Reason))
	item("stage", Plain(f.Stage))
	item("whose fault", f.Fault())
	item("root cause", Plain(cause(f.Causes, f.Via)))
	item("likely cause", Plain(strings.Join(f.Likely, "; ")))
	item("usually means", Plain(f.Explained))
	item("also", f.AlsoFailing())
	item("known", Plain(f.Known))
	item("waived", Plain(f.Waived))
	if s := trace(f.Trace); len(s) > 0 {
		item("stack", strings.Join(s[:min(8, len(s))], " ← "))
	}
	tail := PlainLines(f.Tail)
	for _, l := range tail[max(0, len(tail)-10):] {
		l = "    │ " + clip(l, 500)
		if t.opt.Width > 0 {
			l = ansi.Truncate(l, t.opt.Width, "…")
		}
		t.line("%s", t.dim(l))
	}
	item("log", Plain(f.Log))
	for _, c := range f.Repro {
		// A command is copied: it is never wrapped.
		t.line("  %s %s", t.dim(fmt.Sprintf("%-13s", "reproduce")), Plain(c))
	}
}

// wrapped writes a name and a text beside it.
func (t *terminal) wrapped(name, text string) {
	t.para(fmt.Sprintf("  %s ", t.dim(fmt.Sprintf("%-13s", name))), text)
}

// para writes a text after a prefix; lines that do not fit go on below its
// beginning, or below two blanks where the prefix is long.
func (t *terminal) para(prefix, text string) {
	indent := ansi.StringWidth(prefix)
	if indent > 20 {
		indent = 2
		text = prefix + text
		prefix = ""
	}
	if w := t.opt.Width - indent; w > 20 {
		text = strings.ReplaceAll(ansi.Wrap(text, w, "/"), "\n", "\n"+strings.Repeat(" ", indent))
	}
	t.line("%s%s", prefix, text)
}
