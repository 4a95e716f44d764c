package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/github"
)

// rebuildToken names the rebuild that a comment asked for, of one commit.
func (a *App) rebuildToken(s *scene, comment int64) string {
	m := hmac.New(sha256.New, a.tokens)
	m.Write([]byte(s.key.Owner + "/" + s.key.Repo + "@" + s.sha + "/" + strconv.FormatInt(comment, 10)))
	return hex.EncodeToString(m.Sum(nil))[:24]
}

// findRebuilds finds the dispatched runs of the head commit again, by the names
// that only the App can give.
func (a *App) findRebuilds(ctx context.Context, s *scene, pr *gh.PullRequest, requests []*request, seen time.Time) error {
	want := map[string]bool{}
	for _, r := range requests {
		if r.outcome == reactNot || r.outcome == reactRefused {
			continue
		}
		for _, c := range r.commands {
			if c.Name == command.Rebuild && len(c.Targets) > 0 && bound(c, r.comment, s.sha, seen) {
				want[a.rebuildToken(s, r.comment.GetID())] = true
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	list, _, err := s.c.Actions.ListWorkflowRunsByFileName(ctx, s.key.Owner, s.key.Repo, path.Base(a.opt.Rebuild), &gh.ListWorkflowRunsOptions{Event: "workflow_dispatch", ListOptions: gh.ListOptions{PerPage: 100}})
	if github.Status(err) == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list rebuilds: %w", err)
	}
	s.rebuilds = nil
	for _, run := range list.WorkflowRuns {
		if run.GetActor().GetLogin() != a.bot() {
			continue
		}
		for token := range want {
			if strings.Contains(run.GetDisplayTitle(), token) {
				s.rebuilds = append(s.rebuilds, run)
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
		// Nothing failed for GitHub where the workflow ends green in spite of
		// regressions: then all of it runs again.
		failed := false
		for _, run := range s.runs {
			failed = failed || run.GetConclusion() != "success"
		}
		if !failed {
			e, err := a.present(ctx, s)
			if err != nil {
				return answer{}, err
			}
			if e != nil && e.report != nil && (e.report.Conclusion == checks.Success || e.report.Conclusion == checks.Skipped) && !a.startedFor(s, since) {
				return answer{outcome: reactNot, text: "Nothing failed. `/rebuild all` runs everything again."}, nil
			}
			all = true
		}
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

// rebuildSome dispatches the rebuild workflow from the default branch: without
// secrets, and without writing its cache.
func (a *App) rebuildSome(ctx context.Context, s *scene, pr *gh.PullRequest, r *request, c command.Command) (answer, error) {
	token := a.rebuildToken(s, r.comment.GetID())
	for _, run := range s.rebuilds {
		if strings.Contains(run.GetDisplayTitle(), token) {
			return answer{outcome: reactDone}, nil
		}
	}
	e, err := a.present(ctx, s)
	if err != nil {
		return answer{}, err
	}
	if e == nil || e.report == nil {
		return answer{outcome: reactNot, text: "There is no report yet that says what there is to rebuild. `/rebuild all` runs everything."}, nil
	}
	var only []string
	for _, t := range c.Targets {
		if !evaluated(e.report, t) {
			return answer{outcome: reactNot, text: fmt.Sprintf("There is no %s %s in what was evaluated for this change.", t.Kind, report.Code(t.Name))}, nil
		}
		only = append(only, t.Name)
	}
	ref := pr.GetBase().GetRepo().GetDefaultBranch()
	id, err := s.c.Dispatch(ctx, s.key.Owner, s.key.Repo, path.Base(a.opt.Rebuild), ref, map[string]string{
		"token": token, "pull": strconv.Itoa(pr.GetNumber()), "head": s.sha, "base": pr.GetBase().GetRef(), "only": strings.Join(only, " "),
	})
	switch st := github.Status(err); {
	case st == http.StatusNotFound || st == http.StatusUnprocessableEntity:
		return answer{outcome: reactNot, text: fmt.Sprintf("The default branch has no workflow %s that could be dispatched. `/rebuild all` works without it.", report.Code(a.opt.Rebuild))}, nil
	case err != nil:
		return answer{}, err
	}
	if id != 0 {
		s.rebuilds = append(s.rebuilds, &gh.WorkflowRun{ID: gh.Int64(id), RunAttempt: gh.Int(1), Status: gh.String("queued"), DisplayTitle: gh.String(token), HTMLURL: gh.String(pr.GetBase().GetRepo().GetHTMLURL() + "/actions/runs/" + strconv.FormatInt(id, 10))})
	}
	a.q.add(s.key, 2*time.Second)
	return answer{outcome: reactDone}, nil
}

// evaluated reports whether the report knows a target.
func evaluated(r *checks.Report, t command.Target) bool {
	for _, c := range r.Cases {
		if c.Subject == t.Name && string(c.Of) == t.Kind || t.Kind == "package" && c.Package == t.Name {
			return true
		}
	}
	if r.Plan == nil {
		return false
	}
	for _, d := range r.Plan.Packages {
		if t.Kind == "package" && d.Attr == t.Name {
			return true
		}
	}
	for _, d := range r.Plan.Images {
		if t.Kind == "image" && d.Attr == t.Name {
			return true
		}
	}
	return slices.ContainsFunc(r.Plan.Suites, func(s checks.SuitePlan) bool { return t.Kind == "suite" && s.Name == t.Name })
}
