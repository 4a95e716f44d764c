package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
)

// show publishes what the scene calls for.
func (a *App) show(ctx context.Context, s *scene) error {
	ph := decide(s, a.opt.Workflow, a.opt.Patience, a.gh.Now())
	id := s.id(ph.state)
	if ph.after > 0 {
		a.q.add(s.key, ph.after)
	}
	settled := ph.status == "completed" && len(s.have) == len(checkrun.Names)
	for _, c := range s.have {
		settled = settled && checkrun.Settled(c, id)
	}
	if settled {
		v := s.have[checkrun.Verdict]
		a.remember(s, v.GetConclusion(), v.GetOutput().GetTitle(), v.GetCompletedAt().Time)
		return nil
	}
	var want []checkrun.Run
	switch {
	case ph.results:
		e, err := a.evidence(ctx, s)
		if err != nil {
			return err
		}
		want = a.render(s, id, e)
	default:
		if ph.live {
			if err := a.count(ctx, s, &ph, id); err != nil {
				return err
			}
			if ph.title == "" {
				return nil // too soon after the last update
			}
		}
		want = checkrun.State(id, ph.status, ph.conclusion, ph.title, ph.summary, ph.details)
		if ph.live {
			// Counts change often, and writes are few: the verdict alone has them.
			for i := range want[:len(want)-1] {
				want[i].Title, want[i].Summary = "Running", "What is done so far is in the check `"+checkrun.Verdict+"`."
			}
		}
		if ph.conclusion == "cancelled" || ph.state == "no-run" {
			for i := range want {
				want[i].Actions = []*gh.CheckRunAction{{Label: "Re-run all", Description: "Run every job of the check again", Identifier: checkrun.RerunAll}}
			}
		}
	}
	n, err := s.p.Publish(ctx, s.sha, want, s.have)
	a.m.published(n)
	if err != nil {
		return err
	}
	v := want[len(want)-1]
	a.remember(s, orElse(v.Conclusion, v.Status), v.Title, a.gh.Now())
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// count tells how many jobs are done. Updates are few: the first at once, then
// one in a while.
func (a *App) count(ctx context.Context, s *scene, ph *phase, id checkrun.ID) error {
	name := s.key.Owner + "/" + s.key.Repo + "@" + s.sha
	if v := s.have[checkrun.Verdict]; v != nil && v.GetStatus() == "in_progress" {
		if old, ok := checkrun.ParseID(v.GetExternalID()); ok && old.Same(id) {
			a.mu.Lock()
			wait := a.opt.Refresh - time.Since(a.refreshed[name])
			a.mu.Unlock()
			if wait > 0 {
				a.q.add(s.key, wait)
				ph.title = ""
				return nil
			}
		}
	}
	var total, done, failed int
	var running []string
	for _, r := range append(slices.Clone(s.runs), s.rebuilds...) {
		if r.GetStatus() == "completed" {
			continue
		}
		ph.details = r.GetHTMLURL()
		jobs, _, err := s.c.Actions.ListWorkflowJobs(ctx, s.key.Owner, s.key.Repo, r.GetID(), &gh.ListWorkflowJobsOptions{ListOptions: gh.ListOptions{PerPage: 100}})
		if err != nil {
			return fmt.Errorf("list jobs of run %d: %w", r.GetID(), err)
		}
		total += jobs.GetTotalCount()
		for _, j := range jobs.Jobs {
			switch {
			case j.GetStatus() == "completed":
				done++
				if c := j.GetConclusion(); c == "failure" || c == "timed_out" {
					failed++
				}
			case j.GetStatus() == "in_progress" && len(running) < 10:
				running = append(running, report.Escape(report.Plain(j.GetName())))
			}
		}
	}
	ph.title = fmt.Sprintf("%s: %d of %d jobs done", ph.title, done, total)
	if total == 0 {
		ph.title = "The workflow run is queued"
	}
	if failed > 0 {
		ph.title += fmt.Sprintf(", %d failed", failed)
	}
	ph.summary = strings.TrimSpace(ph.summary + "\n\n" + ph.title + ". Nothing is known of the outcome before the report is there.")
	if len(running) > 0 {
		ph.summary += "\n\nRunning now:\n\n- " + strings.Join(running, "\n- ")
	}
	if ph.details != "" {
		ph.summary += fmt.Sprintf("\n\n[The workflow run](%s)", ph.details)
	}
	a.mu.Lock()
	a.refreshed[name] = time.Now()
	a.mu.Unlock()
	return nil
}

// render turns evidence into check runs.
func (a *App) render(s *scene, id checkrun.ID, e *evidence) []checkrun.Run {
	details := ""
	if len(s.runs) > 0 {
		details = s.runs[0].GetHTMLURL()
	}
	if e.failure != "" {
		runs := checkrun.State(id, "completed", "failure", "Infrastructure: "+e.failure, strings.TrimSpace(e.failure+".\n\n"+e.detail)+"\n\nThis says nothing about the change. `/rebuild` runs it again.\n", details)
		for i := range runs {
			runs[i].Actions = []*gh.CheckRunAction{
				{Label: "Re-run failed", Description: "Run again what failed", Identifier: checkrun.RerunFailed}, {Label: "Re-run all", Description: "Run every job of the check again", Identifier: checkrun.RerunAll},
			}
		}
		return runs
	}
	rep := waive(e.report, s.waivers)
	opt := checkrun.Options{ID: id, Whole: details, Buttons: true, Text: checkrun.WaiverText(s.waivers)}
	opt.ID.Base, opt.ID.Merge = rep.Change.Base, rep.Change.Merged
	var notes []string
	if len(s.waivers) > 0 {
		for _, w := range s.waivers {
			notes = append(notes, fmt.Sprintf("**Waived** %s by %s for this commit: %s", report.Code(w.Case), report.Code(w.By), report.Escape(report.Plain(w.Reason))))
		}
		if len(s.waivers) == 1 {
			opt.Lead = "Waived by " + s.waivers[0].By + " (" + s.waivers[0].Reason + ")"
		} else {
			opt.Lead = fmt.Sprintf("%d waived by %s", len(s.waivers), s.waivers[0].By)
		}
	}
	if len(e.doubts) > 0 && !slices.ContainsFunc(s.waivers, func(w checkrun.Waiver) bool { return w.Case == trustCase }) {
		opt.Verdict, opt.Lead = "action_required", "A maintainer has to look"
		notes = append(notes, "**This report is not to be trusted as it is.** It was made by a workflow run that the change itself had a hand in:\n\n- "+strings.Join(e.doubts, "\n- ")+
			"\n\nLook at these, then `/waive "+trustCase+" REASON` accepts the report for this commit, or change the pull request.")
	}
	if slices.ContainsFunc(s.pulls, func(p *gh.PullRequest) bool { return p.GetDraft() }) {
		opt.Verdict, opt.Lead = "action_required", "Draft"
		notes = append(notes, "A draft asks for action so that it is not merged by accident.")
	}
	if len(s.pulls) > 1 {
		var list []string
		for _, p := range s.pulls {
			list = append(list, fmt.Sprintf("#%d → %s", p.GetNumber(), report.Code(p.GetBase().GetRef())))
		}
		notes = append(notes, "This commit is open against more than one base: "+strings.Join(list, ", ")+". The worst of them is shown.\n\n"+strings.Join(e.each, "\n"))
	}
	opt.Note = strings.Join(notes, "\n\n")
	return checkrun.Render(rep, opt)
}

// trustCase is what a maintainer waives who has looked at the workflow.
const trustCase = "trust"

// waive applies waivers to a copy of a report, and concludes again.
func waive(r *checks.Report, list []checkrun.Waiver) *checks.Report {
	c := *r
	c.Cases = slices.Clone(r.Cases)
	for i, res := range c.Cases {
		for _, w := range list {
			if names(w.Case, res) {
				c.Cases[i].Waived = w.Reason + " (" + w.By + ")"
			}
		}
	}
	conclude(&c)
	return &c
}

// names reports whether a name that a person wrote means a case: the subject and
// the name, or the name alone.
func names(word string, r checks.Result) bool {
	return word == r.Subject+"/"+r.Name || word == r.Subject+" "+r.Name || word == r.Name && r.Kind == checks.KindTest || word == string(r.Kind)+":"+r.Subject
}
