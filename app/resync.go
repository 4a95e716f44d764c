package app

import (
	"context"
	"fmt"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/internal/github"
)

// openHeads are the open pull requests of a repository as a list had them. They
// hold until an event tells of a pull request, and for a minute at most.
type openHeads struct {
	pulls []*gh.PullRequest
	at    time.Time
	known bool // false: an event came at that time
}

func (h openHeads) holds() bool { return h.known && time.Since(h.at) < time.Minute }

// resync looks at every installation.
func (a *App) resync(ctx context.Context) error {
	list, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Installation, *gh.Response, error) {
		return a.gh.Client().Apps.ListInstallations(ctx, &o)
	})
	if err != nil {
		return fmt.Errorf("list installations: %w", err)
	}
	for _, i := range list {
		if i.SuspendedAt != nil {
			continue
		}
		a.q.park(i.GetID(), time.Time{})
		a.q.add(Key{Install: i.GetID(), All: true}, 0)
	}
	a.mu.Lock()
	a.synced = time.Now()
	clear(a.ended)
	// A day's worth of memory is kept; GitHub has the rest.
	forget(a.seen, 20000)
	forget(a.outcomes, 50000)
	forget(a.parsed, 50000)
	forget(a.claims, 50000)
	forget(a.stale, 20000)
	forget(a.nobodys, 20000)
	forget(a.refreshed, 20000)
	a.mu.Unlock()
	return nil
}

func (a *App) resyncInstallation(ctx context.Context, id int64) error {
	repos, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.Repository, *gh.Response, error) {
		l, r, err := a.gh.Installation(id).Apps.ListRepos(ctx, &o)
		if err != nil {
			return nil, r, err
		}
		return l.Repositories, r, nil
	})
	if err != nil {
		return fmt.Errorf("list repositories of installation %d: %w", id, err)
	}
	served := map[string]bool{}
	for _, r := range repos {
		if !r.GetArchived() {
			served[r.GetOwner().GetLogin()+"/"+r.GetName()] = true
			a.q.add(Key{Install: id, Owner: r.GetOwner().GetLogin(), Repo: r.GetName(), All: true}, 0)
		}
	}
	a.forgetRepos(id, served)
	return nil
}

func (a *App) resyncRepo(ctx context.Context, k Key) error {
	c := a.gh.Installation(k.Install)
	a.forgetPolicies(k.Owner, k.Repo)
	pulls, err := a.readHeads(ctx, k)
	if err != nil {
		return err
	}
	policy, err := a.policy(ctx, c, k, "")
	if err == nil && !policy.Publish && !policy.Answer {
		return nil
	}
	open := map[int]bool{}
	for _, p := range pulls {
		open[p.GetNumber()] = true
		a.q.add(Key{Install: k.Install, Owner: k.Owner, Repo: k.Repo, Pull: p.GetNumber()}, 0)
	}
	a.forgetPages(k, open)
	// The event of a closed one may have been taken, and never acted on.
	closed, _, err := c.PullRequests.List(ctx, k.Owner, k.Repo, &gh.PullRequestListOptions{State: "closed", Sort: "updated", Direction: "desc", ListOptions: gh.ListOptions{PerPage: 100}})
	if err != nil {
		return fmt.Errorf("list closed pull requests: %w", err)
	}
	for _, p := range closed {
		if sha := p.GetHead().GetSHA(); a.gh.Now().Sub(p.GetClosedAt().Time) < 24*time.Hour && !a.isStale(k, sha) {
			a.q.add(Key{Install: k.Install, Owner: k.Owner, Repo: k.Repo, Stale: sha}, 0)
		}
	}
	refs, _, err := c.Git.ListMatchingRefs(ctx, k.Owner, k.Repo, &gh.ReferenceListOptions{Ref: "heads/gh-readonly-queue/"})
	if err != nil {
		return fmt.Errorf("list merge groups: %w", err)
	}
	for _, r := range refs {
		a.q.add(Key{Install: k.Install, Owner: k.Owner, Repo: k.Repo, Group: r.GetObject().GetSHA()}, 0)
	}
	return nil
}

// isStale reports whether a commit that nobody offers any more was looked at.
func (a *App) isStale(k Key, sha string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stale[k.Owner+"/"+k.Repo+"@"+sha]
}

func (a *App) setStale(k Key, sha string, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stale {
		a.stale[k.Owner+"/"+k.Repo+"@"+sha] = true
	} else {
		delete(a.stale, k.Owner+"/"+k.Repo+"@"+sha)
	}
}

// readHeads lists the open pull requests of a repository, and remembers them for a
// minute.
func (a *App) readHeads(ctx context.Context, k Key) ([]*gh.PullRequest, error) {
	name := k.Owner + "/" + k.Repo
	began := time.Now()
	pulls, err := openPulls(ctx, a.gh.Installation(k.Install), k)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// An event that came in the meantime may tell of what the list does not have.
	if a.heads[name].at.Before(began) {
		a.heads[name] = openHeads{pulls: pulls, at: began, known: true}
	}
	return pulls, nil
}

// changedHeads says that a list of open pull requests is out of date.
func (a *App) changedHeads(k Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heads[k.Owner+"/"+k.Repo] = openHeads{at: time.Now()}
}

func openPulls(ctx context.Context, c *github.Client, k Key) ([]*gh.PullRequest, error) {
	pulls, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
		return c.PullRequests.List(ctx, k.Owner, k.Repo, &gh.PullRequestListOptions{State: "open", ListOptions: o})
	})
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	return pulls, nil
}

// forget empties a map that has grown beyond so many entries.
func forget[K comparable, V any](m map[K]V, most int) {
	if len(m) > most {
		clear(m)
	}
}
