package report_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

func TestMarkdown(t *testing.T) {
	text := report.Markdown(sample(), report.MarkdownOptions{Link: func(p string) string { return "https://example.org/" + p }})
	golden(t, "report.md", []byte(text))
	first, _, _ := strings.Cut(text, "\n")
	assert.Contains(t, first, "3 regressions in 23 cases: netd no longer evaluates, lua no longer starts and 1 more")
}

func TestMarkdownIsCutByBytesAtARow(t *testing.T) {
	r := sample()
	for i := range 3000 {
		r.Cases = append(r.Cases, case_(checks.KindBuild, pkg, fmt.Sprintf("pkg-%04d-ünïcödé", i), "builds", pass, pass, checks.Passing))
	}
	for i := range 200 {
		r.Cases = append(r.Cases, with(case_(checks.KindBuild, pkg, fmt.Sprintf("bad-%04d", i), "builds", pass, fail, checks.Regressed), func(r *checks.Result) {
			r.Reason = strings.Repeat("long ", 30)
			r.Tail = []string{strings.Repeat("x", 200), "end"}
		}))
	}
	finish(r)
	whole := len(report.Markdown(r, report.MarkdownOptions{}))
	require.Greater(t, whole, 200_000)
	for _, limit := range []int{2000, 5000, 30_000, 65_535, 200_000} {
		text := report.Markdown(r, report.MarkdownOptions{Limit: limit, Whole: "https://example.org/whole"})
		assert.LessOrEqual(t, len(text), limit)
		assert.True(t, utf8.ValidString(text))
		assert.Contains(t, text, "Left out here for want of space: ")
		assert.Contains(t, text, "https://example.org/whole")
		assert.Equal(t, strings.Count(text, "<details"), strings.Count(text, "</details>"))
		assert.Zero(t, strings.Count(text, "```")%2, "an open fence at %d", limit)
		if limit > 5000 {
			assert.Contains(t, text, "pkg", "room is used")
			assert.Greater(t, len(text), limit*8/10, "room is used")
		}
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "| ✗") || strings.HasPrefix(line, "| ✓") {
				assert.True(t, strings.HasSuffix(line, " |"), "a row is whole: %s", line)
			}
		}
	}
	fits := report.Markdown(sample(), report.MarkdownOptions{Limit: 65_535})
	assert.NotContains(t, fits, "Left out")
}

// hostile is what a pull request may put into any text.
const hostile = "@octocat fixes #1 GH-2 <script>alert(1)</script> ![x](https://evil/x.png) [a](javascript:b) `tick` ``` | cell | **b** www.evil.com $x^2$ \x1b[31m\u202eright\u2066 <!-- --> </details>\n# heading\n::error::x\n##[add-mask]y"

func hostileReport() *checks.Report {
	r := sample()
	for i := range r.Cases {
		c := &r.Cases[i]
		c.Subject, c.Name, c.Reason, c.Package, c.Machine, c.Stage = fmt.Sprint(i, hostile), hostile, hostile, hostile, hostile, hostile
		c.Tail, c.Likely, c.Repro = []string{hostile, "````", "~~~"}, []string{hostile}, []string{hostile}
		c.Trace = []checks.Frame{{Function: hostile}}
		c.Known, c.Title = hostile, hostile
		for j := range c.Causes {
			c.Causes[j].File, c.Causes[j].What = hostile, hostile
		}
	}
	for i := range r.Machines {
		m := &r.Machines[i]
		m.Name, m.Title, m.Reason, m.Notes, m.Evidence, m.Command = hostile, hostile, hostile, []string{hostile}, []string{hostile}, []string{hostile}
	}
	r.Errors, r.Notices = []string{hostile}, []string{hostile}
	r.Plan.Omitted[0].What = hostile
	return finish(r)
}

func TestHostileTextIsHarmlessInMarkdown(t *testing.T) {
	text := report.Markdown(hostileReport(), report.MarkdownOptions{})
	for _, bad := range []string{"\x1b", "\u202e", "\u2066"} {
		assert.NotContains(t, text, bad)
	}
	// What is left outside code spans and fences must be inert.
	for _, line := range outsideCode(text) {
		unescaped := regexp.MustCompile(`\\.`).ReplaceAllString(line, "·")
		for _, bad := range []string{"@octocat", " #1", "GH-2", "<script", "![x]", "[a](", "https://evil", "www.evil", "<!--", "**b**", "##[add", "\n::error::", "\n# heading"} {
			assert.NotContains(t, unescaped, bad)
		}
		assert.NotContains(t, strings.ReplaceAll(line, "\\|", ""), "| cell |")
	}
	assert.Equal(t, strings.Count(text, "<details"), strings.Count(strings.Join(outsideCode(text), "\n"), "</details>"))
}

// outsideCode returns the lines of a text that are not in fences, with code
// spans removed.
func outsideCode(text string) []string {
	var out []string
	fence := ""
	for _, line := range strings.Split(text, "\n") {
		if fence != "" {
			if line == fence {
				fence = ""
			}
			continue
		}
		if n := len(line) - len(strings.TrimLeft(line, "`")); n >= 3 {
			fence = line[:n]
			continue
		}
		var plain strings.Builder
		for i := 0; i < len(line); {
			if line[i] == '\\' && i+1 < len(line) {
				plain.WriteString(line[i : i+2])
				i += 2
				continue
			}
			if line[i] != '`' {
				plain.WriteByte(line[i])
				i++
				continue
			}
			n := len(line[i:]) - len(strings.TrimLeft(line[i:], "`"))
			rest := line[i+n:]
			end := strings.Index(rest, strings.Repeat("`", n))
			if end < 0 {
				plain.WriteString(line[i:])
				break
			}
			i += n + end + n
		}
		out = append(out, plain.String())
	}
	return out
}

func TestNothingAffectedIsShort(t *testing.T) {
	text := report.Markdown(finish(&checks.Report{Plan: &checks.Plan{Scope: []distro.Scope{"docs"}}}), report.MarkdownOptions{})
	assert.Equal(t, "## ➖ Nothing is affected: only documentation changed\n\ntouches docs\n\n", text)
}
