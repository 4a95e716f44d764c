package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks/checkrun"
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
	// rebuilds are the dispatched runs that nothing newer has superseded, oldest
	// first; tokens are what their names carry.
	rebuilds []*gh.WorkflowRun
	tokens   map[int64]string
	waivers  []checkrun.Waiver
}

func (a *App) scene(k Key, sha string) *scene {
	c := a.gh.Installation(k.Install)
	return &scene{key: k, c: c, sha: sha, tokens: map[int64]string{}, p: &checkrun.Publisher{Client: c, Owner: k.Owner, Repo: k.Repo, AppID: a.gh.ID()}}
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
	if ok && known.holds() {
		return sameHead(s, pr, out, known.pulls), nil
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
	p, _, _ := strings.Cut(run.GetPath(), "@")
	return p == a.opt.Workflow
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
		case r.GetConclusion() == "skipped":
			// An edited title or text starts a run too, which does nothing.
		case r.GetHeadSHA() == s.sha:
			s.runs = append(s.runs, r)
		case a.gh.Now().Sub(r.GetCreatedAt().Time) < 3*24*time.Hour && !slices.Contains(older, r.GetHeadSHA()) && len(older) < 3:
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
