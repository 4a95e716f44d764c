package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// scene is what GitHub says of a commit that is to be judged.
type scene struct {
	key    Key
	c      *github.Client
	p      *checkrun.Publisher
	sha    string
	policy Policy
	// pulls are the open pull requests that offer the commit; none for a merge
	// group.
	pulls []*gh.PullRequest
	have  map[string]*gh.CheckRun
	// runs are the newest runs of the workflow for the commit, at most one for
	// each pull request, newest first.
	runs []*gh.WorkflowRun
	// rebuilds are the dispatched runs, oldest first.
	rebuilds []*gh.WorkflowRun
	waivers  []checkrun.Waiver
}

func (a *App) scene(k Key, sha string) *scene {
	c := a.gh.Installation(k.Install)
	return &scene{key: k, c: c, sha: sha, p: &checkrun.Publisher{Client: c, Owner: k.Owner, Repo: k.Repo, AppID: a.gh.ID()}}
}

// reconcilePull makes one pull request right.
func (a *App) reconcilePull(ctx context.Context, k Key) error {
	c := a.gh.Installation(k.Install)
	pr, _, err := c.PullRequests.Get(ctx, k.Owner, k.Repo, k.Pull)
	if err != nil {
		return fmt.Errorf("read pull request: %w", err)
	}
	policy, err := a.policy(ctx, c, k, pr.GetBase().GetRef())
	if err != nil {
		return err
	}
	if !policy.Publish && !policy.Answer {
		return nil
	}
	sha := pr.GetHead().GetSHA()
	a.setStale(k, sha, false)
	defer a.lock(k.Owner + "/" + k.Repo + "@" + sha)()
	s := a.scene(k, sha)
	s.policy = policy
	if s.pulls, err = a.siblings(ctx, s, pr); err != nil {
		return err
	}
	if s.have, err = s.p.List(ctx, sha); err != nil {
		return err
	}
	older, err := a.findRuns(ctx, s, pr)
	if err != nil {
		return err
	}
	if len(s.pulls) == 0 {
		a.forgetPage(k)
		return a.abandon(ctx, s, "Closed", "The pull request was closed before the check was done.")
	}
	for _, old := range older {
		st := Key{Install: k.Install, Owner: k.Owner, Repo: k.Repo, Stale: old}
		if !a.isStale(k, old) {
			a.q.add(st, 0)
		}
	}
	if err := a.obey(ctx, s, pr); err != nil {
		return err
	}
	if !policy.Publish {
		return nil
	}
	return a.show(ctx, s)
}

// siblings are the open pull requests with the same head commit: check runs
// belong to the commit.
func (a *App) siblings(ctx context.Context, s *scene, pr *gh.PullRequest) ([]*gh.PullRequest, error) {
	var out []*gh.PullRequest
	if pr.GetState() == "open" {
		out = append(out, pr)
	}
	head := pr.GetHead()
	if head.GetRepo() == nil || head.GetRepo().GetOwner().GetLogin() == "" {
		return out, nil // the fork was deleted; refs/pull/N/head has the commits
	}
	a.mu.Lock()
	known, ok := a.heads[s.key.Owner+"/"+s.key.Repo]
	a.mu.Unlock()
	list := known.pulls
	if ok && time.Since(known.at) < time.Minute {
		return sameHead(s, pr, out, list), nil
	}
	list, _, err := s.c.PullRequests.List(ctx, s.key.Owner, s.key.Repo, &gh.PullRequestListOptions{
		State: "open", Head: head.GetRepo().GetOwner().GetLogin() + ":" + head.GetRef(), ListOptions: gh.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, fmt.Errorf("list pull requests with the same head: %w", err)
	}
	return sameHead(s, pr, out, list), nil
}

func sameHead(s *scene, pr *gh.PullRequest, out, list []*gh.PullRequest) []*gh.PullRequest {
	for _, p := range list {
		if p.GetNumber() != pr.GetNumber() && p.GetHead().GetSHA() == s.sha {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *gh.PullRequest) int { return a.GetNumber() - b.GetNumber() })
	return out
}

func (a *App) ours(run *gh.WorkflowRun) bool {
	p, _, _ := strings.Cut(workflowPath(run), "@")
	return p == a.opt.Workflow
}

func workflowPath(run *gh.WorkflowRun) string {
	return run.GetPath()
}

// findRuns finds the runs of the commit, and older commits of the same branch
// whose runs are still there.
func (a *App) findRuns(ctx context.Context, s *scene, pr *gh.PullRequest) ([]string, error) {
	opt := &gh.ListWorkflowRunsOptions{Event: "pull_request", Branch: pr.GetHead().GetRef(), ListOptions: gh.ListOptions{PerPage: 100}}
	list, resp, err := s.c.Actions.ListRepositoryWorkflowRuns(ctx, s.key.Owner, s.key.Repo, opt)
	if err != nil {
		return nil, fmt.Errorf("list workflow runs: %w", err)
	}
	runs := list.WorkflowRuns
	mine := func(r *gh.WorkflowRun) bool {
		repo := pr.GetHead().GetRepo()
		// Forks share names of branches; a deleted one has no repository.
		return a.ours(r) && (repo == nil || r.GetHeadRepository() == nil || r.GetHeadRepository().GetID() == repo.GetID())
	}
	if resp.NextPage != 0 && !slices.ContainsFunc(runs, func(r *gh.WorkflowRun) bool { return mine(r) && r.GetHeadSHA() == s.sha }) {
		opt.Branch, opt.HeadSHA = "", s.sha
		if list, _, err = s.c.Actions.ListRepositoryWorkflowRuns(ctx, s.key.Owner, s.key.Repo, opt); err != nil {
			return nil, fmt.Errorf("list workflow runs: %w", err)
		}
		runs = append(runs, list.WorkflowRuns...)
	}
	var older []string
	for _, r := range runs {
		switch {
		case !mine(r):
		case r.GetHeadSHA() == s.sha:
			s.runs = append(s.runs, r)
		case time.Since(r.GetCreatedAt().Time) < 3*24*time.Hour && !slices.Contains(older, r.GetHeadSHA()) && len(older) < 3:
			older = append(older, r.GetHeadSHA())
		}
	}
	slices.SortFunc(s.runs, func(a, b *gh.WorkflowRun) int { return int(b.GetID() - a.GetID()) })
	s.runs = oneForEach(s.runs, s.pulls)
	return older, nil
}

// oneForEach keeps the newest run of each pull request. Runs of forks do not say
// which they are of: then as many as there are pull requests.
func oneForEach(runs []*gh.WorkflowRun, pulls []*gh.PullRequest) []*gh.WorkflowRun {
	var out []*gh.WorkflowRun
	seen := map[int]bool{}
	for _, r := range runs {
		n := 0
		if len(r.PullRequests) == 1 {
			n = r.PullRequests[0].GetNumber()
		}
		if n != 0 && seen[n] {
			continue
		}
		seen[n] = true
		if out = append(out, r); len(out) >= max(1, len(pulls)) {
			break
		}
	}
	return out
}

// reconcileGroup makes a merge group's commit right.
func (a *App) reconcileGroup(ctx context.Context, k Key) error {
	s := a.scene(k, k.Group)
	policy, err := a.policy(ctx, s.c, k, "")
	if err != nil || !policy.Publish {
		return err
	}
	s.policy = policy
	defer a.lock(k.Owner + "/" + k.Repo + "@" + s.sha)()
	if s.have, err = s.p.List(ctx, s.sha); err != nil {
		return err
	}
	list, _, err := s.c.Actions.ListRepositoryWorkflowRuns(ctx, k.Owner, k.Repo, &gh.ListWorkflowRunsOptions{Event: "merge_group", HeadSHA: s.sha, ListOptions: gh.ListOptions{PerPage: 100}})
	if err != nil {
		return fmt.Errorf("list workflow runs: %w", err)
	}
	for _, r := range list.WorkflowRuns {
		if a.ours(r) {
			s.runs = append(s.runs, r)
		}
	}
	slices.SortFunc(s.runs, func(a, b *gh.WorkflowRun) int { return int(b.GetID() - a.GetID()) })
	s.runs = s.runs[:min(1, len(s.runs))]
	return a.show(ctx, s)
}

// reconcileStale ends what belongs to a commit that was replaced.
func (a *App) reconcileStale(ctx context.Context, k Key) error {
	s := a.scene(k, k.Stale)
	policy, err := a.policy(ctx, s.c, k, "")
	if err != nil || !policy.Publish {
		return err
	}
	defer a.lock(k.Owner + "/" + k.Repo + "@" + s.sha)()
	if s.have, err = s.p.List(ctx, s.sha); err != nil {
		return err
	}
	unfinished := false
	for _, c := range s.have {
		unfinished = unfinished || c.GetStatus() != "completed"
	}
	if !unfinished {
		a.setStale(k, s.sha, true)
		return nil
	}
	pulls, err := openPulls(ctx, s.c, k)
	if err != nil {
		return err
	}
	for _, p := range pulls {
		if p.GetHead().GetSHA() == s.sha {
			return nil
		}
	}
	list, _, err := s.c.Actions.ListRepositoryWorkflowRuns(ctx, k.Owner, k.Repo, &gh.ListWorkflowRunsOptions{HeadSHA: s.sha, Event: "pull_request", ListOptions: gh.ListOptions{PerPage: 100}})
	if err != nil {
		return fmt.Errorf("list workflow runs: %w", err)
	}
	for _, r := range list.WorkflowRuns {
		if a.ours(r) {
			s.runs = append(s.runs, r)
		}
	}
	if err := a.abandon(ctx, s, "Superseded", "A newer commit took this one's place."); err != nil {
		return err
	}
	a.setStale(k, s.sha, true)
	return nil
}

// abandon cancels what is not done.
func (a *App) abandon(ctx context.Context, s *scene, title, summary string) error {
	for _, r := range s.runs {
		if r.GetStatus() == "completed" {
			continue
		}
		if err := a.cancel(ctx, s, r); err != nil {
			return err
		}
	}
	if !s.policy.Publish && len(s.have) == 0 {
		return nil
	}
	var want []checkrun.Run
	for _, name := range checkrun.Names {
		c := s.have[name]
		if c == nil || c.GetStatus() == "completed" {
			continue
		}
		id, _ := checkrun.ParseID(c.GetExternalID())
		want = append(want, checkrun.Run{Name: name, ID: id, Status: "completed", Conclusion: "cancelled", Title: title, Summary: summary})
	}
	_, err := s.p.Publish(ctx, s.sha, want, s.have)
	return err
}

func (a *App) cancel(ctx context.Context, s *scene, r *gh.WorkflowRun) error {
	_, err := s.c.Actions.CancelWorkflowRunByID(ctx, s.key.Owner, s.key.Repo, r.GetID())
	var accepted *gh.AcceptedError
	if err != nil && !errors.As(err, &accepted) && github.Status(err) != http.StatusConflict {
		return fmt.Errorf("cancel run %d: %w", r.GetID(), err)
	}
	return nil
}

// id says what the check runs of the scene show, as far as it is known without
// a report.
func (s *scene) id(state string) checkrun.ID {
	id := checkrun.ID{State: state}
	h := sha256.New()
	plain := true
	note := func(format string, args ...any) { plain = false; fmt.Fprintf(h, format+"\x00", args...) }
	for _, p := range s.pulls {
		id.Pulls = append(id.Pulls, strconv.Itoa(p.GetNumber())+"@"+p.GetBase().GetRef())
		if p.GetDraft() {
			note("draft %d", p.GetNumber())
		}
		id.Base, id.Merge = p.GetBase().GetSHA(), p.GetMergeCommitSHA()
	}
	for i, r := range s.runs {
		if i == 0 {
			id.Run, id.Attempt = r.GetID(), r.GetRunAttempt()
			continue
		}
		note("run %d.%d", r.GetID(), r.GetRunAttempt())
	}
	for _, r := range s.rebuilds {
		id.Dispatched = append(id.Dispatched, r.GetID())
		if r.GetRunAttempt() > 1 {
			note("rebuild %d.%d", r.GetID(), r.GetRunAttempt())
		}
	}
	for _, w := range s.waivers {
		note("waiver %s %s %s", w.Case, w.Reason, w.By)
	}
	if !plain {
		id.Policy = hex.EncodeToString(h.Sum(nil))[:12]
	}
	return id
}

// phase is where the work on a commit stands.
type phase struct {
	state      string // for the ID; empty where runs decide
	status     string
	conclusion string
	title      string
	summary    string
	details    string
	// live asks for counts of jobs, results for the artifacts.
	live, results bool
	// after asks to look again.
	after time.Duration
}

// decide says what to show; it looks at nothing but the scene.
func decide(s *scene, workflow string, patience time.Duration, now time.Time) phase {
	for _, p := range s.pulls {
		if p.Mergeable != nil && !p.GetMergeable() {
			return phase{state: "conflict", status: "completed", conclusion: "action_required",
				title:   fmt.Sprintf("Cannot be judged: conflicts with %s", report.Plain(p.GetBase().GetRef())),
				summary: fmt.Sprintf("Pull request #%d conflicts with its base, so there is no merge to look at. Rebase it, or merge the base into it.", p.GetNumber())}
		}
	}
	if base, ok := otherBase(s); ok {
		return phase{state: "base", status: "queued", title: "Waiting for a run against " + report.Plain(base),
			summary: "The base was changed, and what is known is about the old one. The workflow has to run for `pull_request` events of the type `edited`; or close and reopen the pull request."}
	}
	draft := slices.ContainsFunc(s.pulls, func(p *gh.PullRequest) bool { return p.GetDraft() })
	expected := max(1, len(s.pulls))
	var details string
	done := 0
	for _, r := range s.runs {
		details = r.GetHTMLURL()
		switch {
		case r.GetConclusion() == "action_required" || r.GetStatus() == "action_required" || r.GetStatus() == "waiting":
			return phase{state: "approval", status: "completed", conclusion: "action_required", details: details,
				title:   "A maintainer has to approve the workflow run",
				summary: fmt.Sprintf("GitHub holds the [workflow run](%s) back until somebody who may write to the repository has looked at the change, above all at `.github/`, and approved it.", details)}
		case r.GetStatus() == "completed":
			done++
		}
	}
	for _, r := range s.rebuilds {
		if r.GetStatus() != "completed" {
			return phase{status: "in_progress", title: "Rebuilding", live: true, details: r.GetHTMLURL(), summary: fmt.Sprintf("A [rebuild](%s) that was asked for is running.", r.GetHTMLURL())}
		}
	}
	switch {
	case draft && len(s.runs) == 0 && len(s.rebuilds) == 0:
		return phase{state: "draft", status: "completed", conclusion: "action_required", title: "Draft: not tested until it is ready for review",
			summary: "A draft is not tested, and asks for action so that it is not merged untested. Mark it ready for review, or comment `/rebuild all` once it has a run."}
	case len(s.runs) == 0 && len(s.rebuilds) == 0:
		ph := phase{state: "queued", status: "queued", title: "Waiting for the workflow to start", summary: fmt.Sprintf("No run of `%s` has been seen for this commit yet.", workflow)}
		if v := s.have[checkrun.Verdict]; v != nil {
			age := now.Sub(v.GetStartedAt().Time)
			if age > patience || v.GetStatus() == "completed" && v.GetConclusion() == "failure" {
				ph.state, ph.status, ph.conclusion = "no-run", "completed", "failure"
				ph.title = "Infrastructure: no workflow run has started"
				ph.summary = fmt.Sprintf("No run of `%s` has started for this commit. It has to be on the base branch, run on `pull_request` with the types opened, synchronize, reopened, ready_for_review and edited, and Actions have to be enabled. This says nothing about the change.", workflow)
				return ph
			}
			ph.after = patience - age + time.Second
		} else {
			ph.after = patience + time.Second
		}
		return ph
	case done < len(s.runs):
		return phase{status: "in_progress", title: "Running", live: true, details: details}
	case len(s.runs) > 0 && s.runs[0].GetConclusion() == "cancelled":
		return phase{status: "completed", conclusion: "cancelled", details: details, title: "The run was cancelled", summary: fmt.Sprintf("The [workflow run](%s) was cancelled. `/rebuild all` starts it again.", details)}
	case done < expected && len(s.runs) > 0:
		return phase{status: "in_progress", details: details, title: fmt.Sprintf("%d of %d bases done", done, expected), summary: "This commit is open against more than one base; the workflow has not run for each of them yet.", after: patience}
	}
	return phase{status: "completed", results: true, details: details}
}

// otherBase reports whether the newest run was made for a base that a pull
// request has no more. A run does not say which base it is of; the check runs
// that show it do.
func otherBase(s *scene) (base string, changed bool) {
	if len(s.runs) == 0 || s.have[checkrun.Verdict] == nil {
		return "", false
	}
	old, ok := checkrun.ParseID(s.have[checkrun.Verdict].GetExternalID())
	if !ok || old.Run != s.runs[0].GetID() {
		return "", false
	}
	now, _ := checkrun.ParseID(s.id("").String()) // with names as an ID writes them
	for i, p := range now.Pulls {
		number, _, _ := strings.Cut(p, "@")
		for _, o := range old.Pulls {
			if n, _, _ := strings.Cut(o, "@"); n == number && (o != p || old.State == "base") {
				return strings.TrimPrefix(now.Pulls[i], number+"@"), true
			}
		}
	}
	return "", false
}

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
		a.remember(s, s.have[checkrun.Verdict].GetConclusion(), s.have[checkrun.Verdict].GetOutput().GetTitle())
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
	a.remember(s, orElse(v.Conclusion, v.Status), v.Title)
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
		runs := checkrun.State(id, "completed", "failure", "Infrastructure: "+e.failure, e.failure+"\n\nThis says nothing about the change. `/rebuild` runs it again.\n", details)
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
	c.Conclusion = checks.Conclude(c.Cases)
	if c.Conclusion == checks.Success && len(r.Errors) > 0 || c.Conclusion == checks.Skipped && r.Conclusion == checks.Errored {
		c.Conclusion = checks.Errored
	}
	c.Counts = checks.Count(c.Cases)
	return &c
}

// names reports whether a name that a person wrote means a case: the subject and
// the name, or the name alone.
func names(word string, r checks.Result) bool {
	return word == r.Subject+"/"+r.Name || word == r.Subject+" "+r.Name || word == r.Name && r.Kind == checks.KindTest || word == string(r.Kind)+":"+r.Subject
}

// pageEntry is a row of the status page.
type pageEntry struct {
	Key      Key
	Title    string
	SHA      string
	Verdict  string
	Line     string
	Opened   time.Time
	Since    time.Time
	Private  bool
	URL      string
	Rebuilds []int64
}

func pageName(k Key) string { return path.Join(k.Owner, k.Repo) + "#" + strconv.Itoa(k.Pull) }

func (a *App) remember(s *scene, verdict, line string) {
	if len(s.pulls) == 0 {
		return
	}
	var rebuilds []int64
	for _, r := range s.rebuilds {
		rebuilds = append(rebuilds, r.GetID())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range s.pulls {
		k := s.key
		k.Pull = p.GetNumber()
		e := pageEntry{Key: k, Title: p.GetTitle(), SHA: s.sha, Verdict: verdict, Line: line, Opened: p.GetCreatedAt().Time, Since: time.Now(), Private: p.GetBase().GetRepo().GetPrivate(), URL: p.GetHTMLURL(), Rebuilds: rebuilds}
		if old, ok := a.pages[pageName(k)]; ok && old.SHA == e.SHA && old.Verdict == e.Verdict {
			e.Since = old.Since
		}
		a.pages[pageName(k)] = e
	}
}

func (a *App) forgetPage(k Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pages, pageName(k))
}

func (a *App) forgetPages(k Key, open map[int]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, p := range a.pages {
		if p.Key.Owner == k.Owner && p.Key.Repo == k.Repo && !open[p.Key.Pull] {
			delete(a.pages, name)
		}
	}
}
