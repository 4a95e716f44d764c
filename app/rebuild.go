package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// rebuildToken names the rebuild that a line of a comment asked for, of one
// commit.
func (a *App) rebuildToken(s *scene, comment int64, line int) string {
	m := hmac.New(sha256.New, a.tokens)
	fmt.Fprintf(m, "%s/%s@%s/%d:%d", s.key.Owner, s.key.Repo, s.sha, comment, line)
	return hex.EncodeToString(m.Sum(nil))[:24]
}

// recorded are the dispatched runs that the verdict says it shows: nobody but
// the App writes that.
func recorded(s *scene) []checkrun.Dispatch {
	v := s.have[checkrun.Verdict]
	if v == nil {
		return nil
	}
	id, _ := checkrun.ParseID(v.GetExternalID())
	return id.Dispatched
}

// findRebuilds finds the dispatched runs of the head commit again: those that
// its verdict shows by their number, others by the names that only the App can
// give. Whatever ran as a whole after a rebuild takes its place.
func (a *App) findRebuilds(ctx context.Context, s *scene, requests []*request, seen time.Time) error {
	want := map[string]bool{}
	for _, r := range requests {
		if r.outcome == reactNot || r.outcome == reactRefused {
			continue
		}
		for _, c := range r.commands {
			if c.Name == command.Rebuild && len(c.Targets) > 0 && bound(c, r.comment, s.sha, seen) {
				want[a.rebuildToken(s, r.comment.GetID(), c.Line)] = true
			}
		}
	}
	s.rebuilds = nil
	add := func(run *gh.WorkflowRun, token string) {
		if s.tokens[run.GetID()] != "" {
			return
		}
		s.tokens[run.GetID()] = token
		delete(want, token)
		if run.GetStatus() == "completed" {
			a.mu.Lock()
			a.ended[run.GetID()] = run
			a.mu.Unlock()
		}
		for _, r := range s.runs {
			if run.GetCreatedAt().Before(r.GetRunStartedAt().Time) {
				return
			}
		}
		s.rebuilds = append(s.rebuilds, run)
	}
	for _, d := range recorded(s) {
		a.mu.Lock()
		run := a.ended[d.Run]
		a.mu.Unlock()
		var err error
		if run == nil {
			run, _, err = s.c.Actions.GetWorkflowRunByID(ctx, s.key.Owner, s.key.Repo, d.Run)
		}
		switch {
		case github.Status(err) == http.StatusNotFound: // somebody deleted it
		case err != nil:
			return fmt.Errorf("read rebuild %d: %w", d.Run, err)
		default:
			add(run, d.Token)
		}
	}
	for _, run := range a.endedRebuilds() {
		for token := range want {
			if strings.Contains(run.GetDisplayTitle(), token) {
				add(run, token)
			}
		}
	}
	if len(want) > 0 {
		list, _, err := s.c.Actions.ListWorkflowRunsByFileName(ctx, s.key.Owner, s.key.Repo, path.Base(a.opt.Rebuild), &gh.ListWorkflowRunsOptions{Event: "workflow_dispatch", ListOptions: gh.ListOptions{PerPage: 100}})
		switch {
		case github.Status(err) == http.StatusNotFound: // the repository has none
		case err != nil:
			return fmt.Errorf("list rebuilds: %w", err)
		default:
			for _, run := range list.WorkflowRuns {
				for token := range want {
					if run.GetActor().GetLogin() == a.bot() && strings.Contains(run.GetDisplayTitle(), token) {
						add(run, token)
					}
				}
			}
		}
	}
	slices.SortFunc(s.rebuilds, func(a, b *gh.WorkflowRun) int { return int(a.GetID() - b.GetID()) })
	return nil
}

// rerun runs the pull request's own runs again. since is when it was asked for:
// an attempt of ours that started later is the answer to it.
func (a *App) rerun(ctx context.Context, s *scene, since time.Time, all bool) (answer, error) {
	if len(s.runs) == 0 {
		return answer{outcome: reactNot, text: "There is no workflow run of this commit to repeat. Push a commit, or close and reopen the pull request."}, nil
	}
	if !all {
		e, err := a.present(ctx, s)
		if err != nil {
			return answer{}, err
		}
		if e != nil && e.report != nil && (e.report.Conclusion == checks.Success || e.report.Conclusion == checks.Skipped) && !a.startedFor(s, since) {
			return answer{outcome: reactNot, text: "Nothing failed. `/rebuild all` runs everything again."}, nil
		}
		// Of what a rebuild found the jobs of the run know nothing: then all of
		// them run again, as where none of them failed.
		all = len(s.rebuilds) > 0
	}
	for _, run := range s.runs {
		if a.startedByUs(run, since) {
			continue
		}
		if run.GetStatus() != "completed" {
			return answer{outcome: reactNot, text: fmt.Sprintf("[The run](%s) is not done yet. `/cancel` stops it.", run.GetHTMLURL())}, nil
		}
		if text, err := a.startAgain(ctx, s, run, all); err != nil || text != "" {
			return answer{outcome: reactNot, text: text}, err
		}
	}
	a.q.add(s.key, time.Second)
	return answer{outcome: reactDone}, nil
}

func (a *App) startedByUs(run *gh.WorkflowRun, since time.Time) bool {
	return run.GetRunAttempt() > 1 && run.GetTriggeringActor().GetLogin() == a.bot() && !run.GetRunStartedAt().Before(since)
}

func (a *App) startedFor(s *scene, since time.Time) bool {
	return slices.ContainsFunc(s.runs, func(r *gh.WorkflowRun) bool { return a.startedByUs(r, since) })
}

// startAgain re-runs a run. text says why GitHub would not.
func (a *App) startAgain(ctx context.Context, s *scene, run *gh.WorkflowRun, all bool) (text string, err error) {
	if all || run.GetConclusion() == "success" {
		_, err = s.c.Actions.RerunWorkflowByID(ctx, s.key.Owner, s.key.Repo, run.GetID())
	} else {
		_, err = s.c.Actions.RerunFailedJobsByID(ctx, s.key.Owner, s.key.Repo, run.GetID())
	}
	if github.Status(err) == http.StatusForbidden {
		if _, limited := github.Limited(err); limited {
			return "", err
		}
		return fmt.Sprintf("GitHub does not run [this run](%s) again: %s", run.GetHTMLURL(), report.Escape(report.Plain(reason(err)))), nil
	}
	if err != nil {
		return "", fmt.Errorf("run %d again: %w", run.GetID(), err)
	}
	// What is shown from here on is the new attempt.
	run.RunAttempt = gh.Int(run.GetRunAttempt() + 1)
	run.Status, run.Conclusion = gh.String("queued"), nil
	run.TriggeringActor = &gh.User{Login: gh.String(a.bot())}
	run.RunStartedAt = &gh.Timestamp{Time: a.gh.Now().Add(time.Second)}
	return "", nil
}

func reason(err error) string {
	var e *gh.ErrorResponse
	if ok := asError(err, &e); ok {
		return e.Message
	}
	return err.Error()
}

func (a *App) endedRebuilds() []*gh.WorkflowRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.ended))
}

// rebuildSome dispatches the rebuild workflow from the default branch: without
// secrets, and without writing its cache.
func (a *App) rebuildSome(ctx context.Context, s *scene, pr *gh.PullRequest, r *request, c command.Command) (answer, error) {
	no := func(format string, args ...any) (answer, error) {
		return answer{outcome: reactNot, text: fmt.Sprintf(format, args...)}, nil
	}
	token := a.rebuildToken(s, r.comment.GetID(), c.Line)
	for _, t := range s.tokens {
		if t == token {
			return answer{outcome: reactDone}, nil // and we died before we could say so
		}
	}
	own := *s
	own.rebuilds = nil // several may run at once
	e, err := a.present(ctx, &own)
	if err != nil {
		return answer{}, err
	}
	if e == nil || e.report == nil || len(s.runs) == 0 {
		return no("There is no report yet that says what there is to rebuild. `/rebuild all` runs everything.")
	}
	var only []string
	for _, t := range c.Targets {
		subjects, why := again(e.report, t)
		if why != "" {
			return no("%s", why)
		}
		for _, n := range subjects {
			if !slices.Contains(only, n) {
				only = append(only, n)
			}
		}
	}
	base, err := a.compared(ctx, s, pr, e.report)
	if err != nil {
		return answer{}, err
	}
	if base == "" {
		return no("The report was compared with a commit that %s does not have. `/rebuild all` runs everything.", report.Code(pr.GetBase().GetRef()))
	}
	ref := pr.GetBase().GetRepo().GetDefaultBranch()
	id, err := s.c.Dispatch(ctx, s.key.Owner, s.key.Repo, path.Base(a.opt.Rebuild), ref, map[string]string{
		"token": token, "pull": strconv.Itoa(pr.GetNumber()), "head": s.sha, "base": base, "only": strings.Join(only, " "),
		"own-run": fmt.Sprintf("%d.%d", s.runs[0].GetID(), max(1, s.runs[0].GetRunAttempt())),
	})
	switch st := github.Status(err); {
	case st == http.StatusNotFound || st == http.StatusUnprocessableEntity:
		return no("GitHub does not dispatch %s on %s: %s. `bot init --app` writes it; `/rebuild all` works without it.", report.Code(a.opt.Rebuild), report.Code(ref), report.Escape(report.Plain(reason(err))))
	case err != nil:
		return answer{}, err
	}
	if id != 0 {
		s.tokens[id] = token
		s.rebuilds = append(s.rebuilds, &gh.WorkflowRun{ID: gh.Int64(id), RunAttempt: gh.Int(1), Status: gh.String("queued"), DisplayTitle: gh.String(token), HTMLURL: gh.String(pr.GetBase().GetRepo().GetHTMLURL() + "/actions/runs/" + strconv.FormatInt(id, 10))})
	}
	a.q.add(s.key, 2*time.Second)
	return answer{outcome: reactDone}, nil
}

// rebuildInputs are what the workflow is dispatched with.
var rebuildInputs = []string{"token", "pull", "head", "base", "only", "own-run"}

// compared is the commit that a report compared with, if GitHub says that the
// base branch has it; empty if not.
func (a *App) compared(ctx context.Context, s *scene, pr *gh.PullRequest, r *checks.Report) (string, error) {
	base := r.Change.Base
	if !fullHash.MatchString(base) {
		return "", nil
	}
	cmp, _, err := s.c.Repositories.CompareCommits(ctx, s.key.Owner, s.key.Repo, base, pr.GetBase().GetRef(), &gh.ListOptions{PerPage: 1})
	switch {
	case github.Status(err) == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("compare %.12s with %s: %w", base, pr.GetBase().GetRef(), err)
	case cmp.GetStatus() != "ahead" && cmp.GetStatus() != "identical":
		return "", nil
	}
	return base, nil
}

var fullHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// again says which subjects have to be run for a target: a package and the
// suites that test it, an image, a suite. why says what is wrong with it.
func again(r *checks.Report, t command.Target) (subjects []string, why string) {
	add := func(name string) {
		if !slices.Contains(subjects, name) {
			subjects = append(subjects, name)
		}
	}
	command := map[string]bool{}
	if r.Plan != nil {
		for _, d := range r.Plan.Packages {
			if t.Kind == "package" && d.Attr == t.Name {
				add(d.Attr)
			}
		}
		for _, d := range r.Plan.Images {
			// "iso" is what people call the image, whatever it is named.
			if d.Attr == t.Name && t.Kind != "suite" || t.Kind == "image" && t.Name == "iso" {
				add(d.Attr)
			}
		}
		for _, s := range r.Plan.Suites {
			if command[s.Name] = s.Command; t.Kind == "suite" && s.Name == t.Name {
				add(s.Name)
			}
		}
	}
	for _, c := range r.Cases {
		if c.Subject == t.Name && string(c.Of) == t.Kind || t.Kind == "package" && c.Package == t.Name {
			add(c.Subject)
		}
	}
	if t.Kind == "suite" && command[t.Name] {
		return nil, fmt.Sprintf("The suite %s runs through a command, outside any sandbox, and is not dispatched. `/rebuild` runs it again if it failed, `/rebuild all` with everything else.", report.Code(t.Name))
	}
	if subjects = slices.DeleteFunc(subjects, func(n string) bool { return command[n] }); len(subjects) == 0 {
		return nil, fmt.Sprintf("There is no %s %s in what was evaluated for this change.", t.Kind, report.Code(t.Name))
	}
	return subjects, ""
}
