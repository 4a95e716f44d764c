package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// MarkdownOptions say where a report in Markdown will be read.
type MarkdownOptions struct {
	// Limit bounds it, in bytes; zero is no bound. What does not fit is left
	// out a row or a failure at a time, the least important first, and
	// the end says what was.
	Limit int
	// Whole is the address of the whole report, for readers of a part.
	Whole string
	// Link gives the address of a file of the report's folder; nil, or an empty
	// address, shows the path alone.
	Link func(path string) string
}

// Markdown renders a report in GitHub's Markdown. Its first line is the answer.
// Nothing in it notifies, links or formats but what this package means
// to: text from elsewhere is escaped.
func Markdown(r *checks.Report, opt MarkdownOptions) string {
	v := arrange(r)
	m := &markdown{opt: opt, left: opt.Limit}
	if opt.Limit <= 0 {
		m.left = 1 << 40
	}
	m.left -= 400 // for saying what was left out
	m.must(fmt.Sprintf("## %s %s\n\n%s\n\n", emoji[r.Conclusion], Escape(clip(Headline(r), 2000)), m.about(v)))
	m.list("Could not look", r.Errors)

	var bad, calm []row
	for _, row := range v.Rows {
		if row.Rank < rankNew {
			bad = append(bad, row)
		} else {
			calm = append(calm, row)
		}
	}
	folded := len(calm) > 10
	shown := bad
	if !folded {
		shown = v.Rows
	}
	reserve := 0
	if len(v.Failures) > 0 {
		reserve = m.left / 2
	}
	if m.table(shown, reserve) {
		m.try("\n")
	}
	m.failures(v)
	m.list("Fixed", v.Fixed)
	m.unseen(v)
	m.omitted(r)
	m.list("Notices", r.Notices)
	if folded {
		m.fold(fmt.Sprintf("%s without a change for the worse", count(len(calm), "other row")), calm)
	}
	m.legend(v)
	if len(m.missing) > 0 {
		where := "; the whole is in `report.html` and `report.json`"
		if opt.Whole != "" {
			where = "; [the whole report](" + opt.Whole + ")"
		}
		m.b.WriteString("\n_Left out here for want of space: " + and(m.missing) + where + "._\n")
	}
	return m.b.String()
}

var emoji = map[checks.Conclusion]string{checks.Success: "✅", checks.Failure: "❌", checks.Errored: "⚠️", checks.Skipped: "➖"}

// markdown is a text that grows within a bound.
type markdown struct {
	b       strings.Builder
	opt     MarkdownOptions
	left    int
	missing []string
}

func (m *markdown) must(s string) {
	m.b.WriteString(s)
	m.left -= len(s)
}

// try adds a piece if it fits.
func (m *markdown) try(s string) bool {
	if len(s) > m.left {
		return false
	}
	m.must(s)
	return true
}

func (m *markdown) lost(n int, noun string) {
	if n > 0 {
		m.missing = append(m.missing, count(n, noun))
	}
}

// about says what was compared, in one line.
func (m *markdown) about(v view) string {
	var parts []string
	if v.Change.Base != "" {
		s := "Compared " + Code(short(v.Change.Base)) + " → " + Code(short(v.Change.Head))
		if v.Change.Merged != "" && v.Change.Merged != v.Change.Head {
			s += " (merged: " + Code(short(v.Change.Merged)) + ")"
		}
		parts = append(parts, s)
	}
	if v.Plan != nil && len(v.Plan.Scope) > 0 {
		parts = append(parts, "touches "+Escape(and(list(v.Plan.Scope...))))
	}
	if s := tally(v.Report); s != "" {
		parts = append(parts, s)
	}
	if v.Seconds > 0 {
		parts = append(parts, duration(v.Seconds))
	}
	if m.opt.Whole != "" {
		parts = append(parts, "[whole report]("+m.opt.Whole+")")
	}
	return strings.Join(parts, " · ")
}

// tally counts the cases by verdict, in words.
func tally(r *checks.Report) string {
	if len(r.Cases) == 0 {
		return ""
	}
	var parts []string
	for _, v := range []checks.Verdict{checks.Regressed, checks.New, checks.Fixed, checks.StillFailing, checks.Flaky, checks.Removed, checks.Passing, checks.Undecided} {
		if n := r.Counts[string(v)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return count(len(r.Cases), "case") + ": " + strings.Join(parts, ", ")
}

func (m *markdown) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	if !m.try("**" + title + "**\n\n") {
		m.lost(len(lines), strings.ToLower(strings.TrimSuffix(title, "s")))
		return
	}
	for i, l := range lines {
		if !m.try("- " + Escape(clip(Plain(l), 1000)) + "\n") {
			m.lost(len(lines)-i, strings.ToLower(strings.TrimSuffix(title, "s")))
			break
		}
	}
	m.try("\n")
}

const tableHead = "| | | evaluation | build | boot | tests | base → head | root cause |\n|---|---|---|---|---|---|---|---|\n"

// table adds rows until only reserve bytes are left. It reports whether it
// added any.
func (m *markdown) table(rows []row, reserve int) bool {
	if len(rows) == 0 || !m.try(tableHead) {
		m.lost(len(rows), "row")
		return false
	}
	for i, r := range rows {
		line := m.row(r)
		if m.left-len(line) < reserve || !m.try(line) {
			m.lost(len(rows)-i, "row")
			break
		}
	}
	return true
}

func (m *markdown) row(r row) string {
	change := r.Change()
	if r.Rank == rankBlocks {
		change = "**" + change + "**"
	}
	if r.Remembered != "" {
		change += " (remembered from " + r.Remembered + ")"
	}
	return fmt.Sprintf("| %s | %s %s | %s | %s | %s | %s | %s | %s |\n", r.Mark(), ofWord(r.Of), codeCell(clip(Plain(r.Subject), 80)),
		r.Eval.Text(), r.Build.Text(), r.Boot.Text(), r.Tests.Text(), change, Escape(clip(Plain(r.Cause), 200)))
}

func (m *markdown) fold(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	if !m.try("\n<details><summary>" + title + "</summary>\n\n") {
		m.lost(len(rows), "row")
		return
	}
	m.left -= len("\n</details>\n")
	m.table(rows, 0)
	m.b.WriteString("\n</details>\n")
}

// failures explains each failing case, as long as there is room: with fewer log
// lines if need be, then not at all.
func (m *markdown) failures(v view) {
	if len(v.Failures) == 0 {
		return
	}
	m.try("### Failures\n\n")
	var lost int
	for _, f := range v.Failures {
		if !m.try(m.failure(f, 20)) && !m.try(m.failure(f, 4)) && !m.try("#### "+marks[tone(rank(f.Result))]+" "+Escape(f.Title)+"\n\n"+Escape(clip(Plain(f.Reason), 300))+"\n\n") {
			lost++
		}
	}
	m.lost(lost, "failure")
}

func (m *markdown) failure(f failure, lines int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s %s\n\n", marks[tone(rank(f.Result))], Escape(f.Title))
	fmt.Fprintf(&b, "%s: %s → **%s**, %s", Escape(f.About()), f.Was, f.Now, word(f.Result))
	if s := f.Runs(); s != "" {
		b.WriteString(", " + s)
	}
	if f.Remembered != "" {
		day, _, _ := strings.Cut(f.Remembered, "T")
		b.WriteString(", remembered from " + Escape(day))
	}
	b.WriteString("\n\n")
	item := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "- **%s:** %s\n", name, text)
		}
	}
	item("Reason", Escape(clip(Plain(f.Reason), 600)))
	item("Stage", Escape(Plain(f.Stage)))
	item("Whose fault", f.Fault())
	item("Root cause", Escape(clip(Plain(cause(f.Causes, f.Via)), 400)))
	if len(f.Likely) > 0 {
		var likely []string
		for _, l := range f.Likely[:min(3, len(f.Likely))] {
			likely = append(likely, Code(clip(Plain(l), 200)))
		}
		item("Likely cause", strings.Join(likely, ", ")+" (the kernel logged this here and in no passing case of the same machine)")
	}
	item("What it usually means", prose(clip(f.Explained, 1000)))
	item("Known", Code(clip(Plain(f.Known), 300)))
	item("In the same way", Escape(f.AlsoFailing()))
	item("Waived", Escape(clip(Plain(f.Waived), 300)))
	if f.Log != "" {
		item("Log", m.file(f.Log))
	}
	if f.Image != "" {
		item("Screen", m.file(f.Image))
	}
	b.WriteString("\n")
	if trace := trace(f.Trace); len(trace) > 0 {
		b.WriteString(fenced("Stack", trace, lines, false))
	}
	if tail := PlainLines(f.Tail); len(tail) > 0 {
		b.WriteString(fenced("Last lines of the log", tail, lines, rank(f.Result) == rankBlocks))
	}
	if len(f.Repro) > 0 {
		b.WriteString("Reproduce it:\n\n" + fence(PlainLines(f.Repro), "sh") + "\n")
	}
	return b.String()
}

// unseen lists what could not be looked at, by reason.
func (m *markdown) unseen(v view) {
	if len(v.Unseen) == 0 {
		return
	}
	m.try("### Could not be looked at\n\n")
	var lost int
	for _, g := range v.Unseen {
		var names []string
		for _, c := range g.Cases {
			names = append(names, c.Subject+" "+c.Name)
		}
		if !m.try(fmt.Sprintf("- %s: %s (%s)\n", count(len(g.Cases), "case"), Escape(clip(Plain(g.Reason), 400)), Escape(clip(some(names, 5, ""), 400)))) {
			lost += len(g.Cases)
		}
	}
	m.lost(lost, "case")
	m.try("\n")
}

func (m *markdown) omitted(r *checks.Report) {
	if r.Plan == nil || len(r.Plan.Omitted) == 0 {
		return
	}
	m.try("### Not looked at\n\n")
	for _, o := range r.Plan.Omitted {
		m.try("- " + Escape(clip(Plain(omission(o)), 600)) + "\n")
	}
	m.try("\n")
}

// omission says one in a sentence.
func omission(o checks.Omission) string {
	s := fmt.Sprintf("%d %s: %s", o.Count, o.What, o.Why)
	if o.How != "" {
		s += "; to have them, " + o.How
	}
	return s
}

// legend explains the words that the report uses.
func (m *markdown) legend(v view) {
	var used []string
	for _, l := range legend {
		if v.Counts[string(l.verdict)] > 0 {
			used = append(used, fmt.Sprintf("**%s**: %s", l.verdict, l.text))
		}
	}
	if len(used) > 0 {
		m.try("\n<sub>" + strings.Join(used, "; ") + ".</sub>\n")
	}
}

var legend = []struct {
	verdict checks.Verdict
	text    string
}{
	{checks.Regressed, "passed before and fails now"},
	{checks.Fixed, "failed before and passes now"},
	{checks.StillFailing, "failed before too"},
	{checks.Flaky, "passes now and then, before and now"},
	{checks.Undecided, "not established"},
}

func (m *markdown) file(path string) string {
	p := Plain(path)
	if m.opt.Link != nil {
		if u := m.opt.Link(path); u != "" {
			return "[" + Code(p) + "](" + u + ")"
		}
	}
	return Code(p)
}

// trace writes a stack as lines, innermost first.
func trace(frames []checks.Frame) []string {
	var out []string
	for _, f := range frames {
		name := f.Function
		if name == "" {
			name = f.Address
		}
		out = append(out, Plain(name))
	}
	return out
}

// fenced is a block of lines that a reader can open; of too many the last are
// shown.
func fenced(title string, lines []string, limit int, open bool) string {
	if len(lines) > limit {
		title = fmt.Sprintf("%s (%d of %d)", title, limit, len(lines))
		lines = lines[len(lines)-limit:]
	}
	attribute := ""
	if open {
		attribute = " open"
	}
	return "<details" + attribute + "><summary>" + title + "</summary>\n\n" + fence(lines, "text") + "\n</details>\n\n"
}

// fence is a code block that its content cannot end.
func fence(lines []string, language string) string {
	longest := 2
	for i, l := range lines {
		lines[i] = clip(l, 500)
		longest = max(longest, run(l))
	}
	mark := strings.Repeat("`", longest+1)
	return mark + language + "\n" + strings.Join(lines, "\n") + "\n" + mark + "\n"
}

// run is the length of the longest run of backticks.
func run(s string) int {
	var longest, n int
	for _, r := range s {
		if r == '`' {
			n++
			longest = max(longest, n)
		} else {
			n = 0
		}
	}
	return longest
}

// Code makes text a code span of GitHub's Markdown.
func Code(s string) string {
	s = Plain(s)
	if s == "" {
		return ""
	}
	mark := strings.Repeat("`", run(s)+1)
	pad := ""
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		pad = " "
	}
	return mark + pad + s + pad + mark
}

// codeCell is Code in a table, where a bar ends the cell even in a code span
// unless it is escaped.
func codeCell(s string) string { return strings.ReplaceAll(Code(s), "|", `\|`) }

// prose renders sentences of this package that quote names between backticks.
func prose(s string) string {
	var b strings.Builder
	for i, part := range strings.Split(Plain(s), "`") {
		if i%2 == 1 {
			b.WriteString(Code(part))
			continue
		}
		// Escape trims; the blanks around code are ours.
		b.WriteString(part[:len(part)-len(strings.TrimLeft(part, " "))] + Escape(part) + part[len(strings.TrimRight(part, " ")):])
	}
	return b.String()
}

// Escape makes text plain in GitHub's Markdown: it formats nothing, opens no
// HTML, and neither mentions, refers to an issue nor links.
func Escape(s string) string {
	var b strings.Builder
	s = Plain(s)
	for i, r := range s {
		switch r {
		case '\\', '`', '*', '_', '{', '}', '[', ']', '(', ')', '!', '|', '~', '^', '$':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			b.WriteString("&amp;")
		case '@', '#':
			// GitHub looks for mentions and references after rendering, so
			// neither an escape nor an entity keeps it from finding them.
			b.WriteRune(r)
			b.WriteString("&#8203;")
		case ':':
			b.WriteRune(r)
			if strings.HasPrefix(s[i:], "://") {
				b.WriteString("&#8203;")
			}
		case '-', '+', '=', '.':
			// Lists, headings and autolinks begin a line or a word with them.
			if i == 0 || r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www") {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			if r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www") || r == '-' && strings.HasSuffix(strings.ToLower(s[:i]), "gh") {
				b.WriteString("&#8203;")
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// short is a commit's hash as people write it.
func short(hash string) string { return clipTo(Plain(hash), 10) }

func clipTo(s string, n int) string { return s[:min(n, len(s))] }

// duration writes seconds for people.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", seconds)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", seconds)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// ofWord names what a subject is.
func ofWord(k distro.Kind) string {
	if k == "" {
		return "attribute"
	}
	return string(k)
}
