package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/internal/github"
)

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

// reconcileCommit finds the pull requests that offer a commit: events of forks'
// runs do not name them.
func (a *App) reconcileCommit(ctx context.Context, k Key) error {
	name := k.Owner + "/" + k.Repo + "@" + k.Commit
	a.mu.Lock()
	missed := a.nobodys[name]
	a.mu.Unlock()
	if time.Since(missed) < time.Minute {
		return nil // a branch's own commit, say, with many jobs
	}
	pulls, err := a.readHeads(ctx, k)
	if err != nil {
		return err
	}
	found := false
	for _, p := range pulls {
		if p.GetHead().GetSHA() == k.Commit {
			found = true
			a.q.add(Key{Install: k.Install, Owner: k.Owner, Repo: k.Repo, Pull: p.GetNumber()}, 0)
		}
	}
	if !found {
		a.mu.Lock()
		a.nobodys[name] = time.Now()
		a.mu.Unlock()
	}
	return nil
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
	list, _, err := s.c.Actions.ListRepositoryWorkflowRuns(ctx, k.Owner, k.Repo, &gh.ListWorkflowRunsOptions{HeadSHA: s.sha, ListOptions: gh.ListOptions{PerPage: 100}})
	if err != nil {
		return fmt.Errorf("list workflow runs: %w", err)
	}
	for _, r := range list.WorkflowRuns {
		// What somebody started by hand is theirs.
		if a.ours(r) && (r.GetEvent() == "pull_request" || r.GetEvent() == "merge_group") {
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
