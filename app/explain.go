package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// explain says why something is affected, and why it failed: a report of its
// cases alone.
func explain(r *checks.Report, subject string) (string, bool) {
	part := *r
	part.Cases = nil
	for _, c := range r.Cases {
		if c.Subject == subject || c.Package == subject || names(subject, c) {
			part.Cases = append(part.Cases, c)
		}
	}
	var why []string
	if r.Plan != nil {
		for _, d := range append(slices.Clone(r.Plan.Packages), r.Plan.Images...) {
			if d.Attr != subject {
				continue
			}
			line := report.Code(subject) + " is affected: " + report.Escape(string(d.Status))
			for _, c := range d.Causes {
				line += "; " + report.Escape(report.Plain(strings.TrimSpace(fmt.Sprintf("%s:%d %s", c.File, c.Line, c.What))))
			}
			if len(d.Via) > 0 {
				line += " (through " + report.Escape(report.Plain(strings.Join(d.Via, " ← "))) + ")"
			}
			why = append(why, line+".")
		}
		for _, p := range r.Plan.Cases {
			if p.Subject == subject && p.Why != "" {
				why = append(why, "Planned because "+report.Escape(report.Plain(p.Why))+".")
				break
			}
		}
	}
	if len(part.Cases) == 0 && len(why) == 0 {
		return "", false
	}
	text := strings.Join(why, "\n\n")
	if len(part.Cases) > 0 {
		part.Counts, part.Conclusion = checks.Count(part.Cases), checks.Conclude(part.Cases)
		part.Notices, part.Errors = nil, nil
		if r.Plan != nil {
			p := *r.Plan
			p.Omitted = nil
			part.Plan = &p
		}
		text = report.Markdown(&part, report.MarkdownOptions{Limit: MaxComment - len(text) - 1000}) + "\n" + text
	}
	return text, true
}
