package action

import (
	"fmt"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// maxAnnotations is how many annotations of a level Actions keeps of a step.
const maxAnnotations = 10

// Annotations are those of a report, worst first, each at the place in the
// change that explains it. Where a level has more than Actions shows, its
// last one says how many are left out.
func Annotations(r *checks.Report) []Annotation {
	byLevel := map[Level][]Annotation{}
	unsettled := map[string][]checks.Result{}
	var reasons []string
	for _, c := range r.Cases {
		level, ok := level(c)
		if !ok {
			continue
		}
		if level == Warning {
			// One reason, such as a system that was not built, keeps many cases from
			// being looked at.
			if unsettled[c.Reason] == nil {
				reasons = append(reasons, c.Reason)
			}
			unsettled[c.Reason] = append(unsettled[c.Reason], c)
			continue
		}
		byLevel[level] = append(byLevel[level], annotation(level, c))
	}
	for _, reason := range reasons {
		cases := unsettled[reason]
		a := annotation(Warning, cases[0])
		if more := len(cases) - 1; more > 0 {
			a.Title = fmt.Sprintf("%s, and %d more", a.Title, more)
		}
		byLevel[Warning] = append(byLevel[Warning], a)
	}
	var out []Annotation
	for _, level := range []Level{Failure, Warning, Notice} {
		as := byLevel[level]
		if more := len(as) - maxAnnotations + 1; more > 1 {
			as = append(as[:maxAnnotations-1:maxAnnotations-1], Annotation{
				Level: level, Title: fmt.Sprintf("%d more", more), Message: "The job's summary and the report have all of them.",
			})
		}
		out = append(out, as...)
	}
	return out
}

func annotation(level Level, c checks.Result) Annotation {
	a := Annotation{Level: level, Title: report.Plain(report.Sentence(c)), Message: report.Plain(c.Reason)}
	if len(c.Causes) > 0 {
		a.File, a.Line = c.Causes[0].File, c.Causes[0].Line
		if what := c.Causes[0].What; what != "" {
			a.Message = strings.TrimSpace(a.Message + "\nBecause of: " + report.Plain(what))
		}
	}
	if len(c.Repro) > 0 {
		a.Message += "\nReproduce it with: " + report.Plain(c.Repro[0])
	}
	return a
}

func level(c checks.Result) (Level, bool) {
	switch {
	case c.Blocks():
		return Failure, true
	case c.Unsettled():
		return Warning, true
	case c.Verdict == checks.Flaky, c.Verdict == checks.Fixed, c.Verdict == checks.Removed:
		return Notice, true
	}
	return "", false
}
