package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

// worst orders conclusions.
func worst(a, b checks.Conclusion) checks.Conclusion {
	order := []checks.Conclusion{checks.Failure, checks.Errored, checks.Success, checks.Skipped}
	if slices.Index(order, a) < slices.Index(order, b) {
		return a
	}
	return b
}

// evidence is what runs left, checked.
type evidence struct {
	report *checks.Report
	// failure says why there is no report: infrastructure.
	failure string
	// detail says more of it, in Markdown.
	detail string
	// doubts are what a maintainer has to look at.
	doubts []string
	// each is a line for each base.
	each []string
	// planned is the attempt whose plan it was held against.
	planned int
	// size is what it takes, in bytes, roughly.
	size int
}

// evidence gathers the reports of the scene's runs.
func (a *App) evidence(ctx context.Context, s *scene) (*evidence, error) {
	out := &evidence{}
	for i, r := range s.runs {
		one, err := a.runEvidence(ctx, s, r, true)
		if err != nil {
			return nil, err
		}
		if len(s.runs) > 1 {
			line := one.failure
			if one.report != nil {
				line = report.Headline(one.report)
			}
			base := "run " + strconv.FormatInt(r.GetID(), 10)
			if len(r.PullRequests) == 1 {
				base = fmt.Sprintf("#%d", r.PullRequests[0].GetNumber())
			} else if one.report != nil {
				base = report.Code(one.report.Change.Base[:min(12, len(one.report.Change.Base))])
			}
			out.each = append(out.each, fmt.Sprintf("- %s: %s", base, report.Escape(line)))
		}
		out.doubts = append(out.doubts, one.doubts...)
		switch {
		case one.failure != "":
			out.failure, out.detail = one.failure, one.detail
		case i == 0 || out.report == nil:
			out.report = one.report
		default:
			out.report = both(out.report, one.report)
		}
	}
	for _, r := range s.rebuilds {
		one, err := a.runEvidence(ctx, s, r, false)
		if err != nil {
			return nil, err
		}
		out.doubts = append(out.doubts, one.doubts...)
		switch {
		case one.failure != "":
			out.failure, out.detail = "the rebuild that was asked for left no report: "+one.failure, one.detail
		case out.report == nil:
			// A part of the cases does not stand for all of them.
		default:
			out.report = overlay(out.report, one.report)
		}
	}
	if out.report == nil && out.failure == "" {
		out.failure = "the workflow run left no report"
	}
	return out, nil
}

// both joins the reports of two bases: of each case the worse result.
func both(a, b *checks.Report) *checks.Report {
	c := *a
	c.Cases = slices.Clone(a.Cases)
	at := places(c.Cases)
	for _, r := range b.Cases {
		i, ok := at[r.Case]
		switch {
		case !ok:
			c.Cases = append(c.Cases, r)
		case !c.Cases[i].Blocks() && (r.Blocks() || r.Unsettled() && !c.Cases[i].Unsettled()):
			c.Cases[i] = r
		}
	}
	c.Errors = append(slices.Clone(a.Errors), b.Errors...)
	c.Notices = append(slices.Clone(a.Notices), b.Notices...)
	c.Machines = append(slices.Clone(a.Machines), b.Machines...)
	c.Counts, c.Conclusion = checks.Count(c.Cases), worst(a.Conclusion, b.Conclusion)
	return &c
}

// places are the indices of cases.
func places(cases []checks.Result) map[checks.Case]int {
	at := make(map[checks.Case]int, len(cases))
	for i, c := range cases {
		at[c.Case] = i
	}
	return at
}

// overlay puts newer results over older ones.
func overlay(old, newer *checks.Report) *checks.Report {
	c := *old
	c.Cases = slices.Clone(old.Cases)
	at := places(c.Cases)
	for _, r := range newer.Cases {
		if i, ok := at[r.Case]; ok {
			c.Cases[i] = r
		} else {
			c.Cases = append(c.Cases, r)
		}
	}
	c.Machines = append(slices.Clone(old.Machines), newer.Machines...)
	c.Errors = append(slices.Clone(old.Errors), newer.Errors...)
	conclude(&c)
	return &c
}

// conclude works counts and conclusion out of the cases; what a report could not
// look at stays so.
func conclude(r *checks.Report) {
	before := r.Conclusion
	r.Counts, r.Conclusion = checks.Count(r.Cases), checks.Conclude(r.Cases)
	if len(r.Errors) > 0 && r.Conclusion.ExitCode() == 0 || r.Conclusion == checks.Skipped && before == checks.Errored {
		r.Conclusion = checks.Errored
	}
}

// runEvidence reads what one run left. untrusted runs were started by the pull
// request, others by the App from the default branch.
func (a *App) runEvidence(ctx context.Context, s *scene, r *gh.WorkflowRun, untrusted bool) (*evidence, error) {
	// Doubts are those of the pull requests of the moment.
	name := fmt.Sprintf("%d.%d@%s %s", r.GetID(), r.GetRunAttempt(), s.sha, strings.Join(s.id("").Pulls, ","))
	a.mu.Lock()
	known := a.reports[name]
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	e, err := a.download(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if e.report != nil {
		if e.doubts, err = a.squatted(ctx, s, r, e.planned); err != nil {
			return nil, err
		}
	}
	if e.report != nil && untrusted && len(s.pulls) > 0 {
		more, err := a.doubts(ctx, s, r)
		if err != nil {
			return nil, err
		}
		e.doubts = append(e.doubts, more...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reports[name] == nil {
		a.order = append(a.order, name)
	}
	a.reports[name] = e
	// A few stay in memory; the artifacts have the rest.
	total := 0
	for _, e := range a.reports {
		total += e.size
	}
	for len(a.order) > 16 || total > maxRemembered && len(a.order) > 1 {
		total -= a.reports[a.order[0]].size
		delete(a.reports, a.order[0])
		a.order = a.order[1:]
	}
	return e, nil
}
