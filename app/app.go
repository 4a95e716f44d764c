// Package app is the GitHub App: it listens to webhooks, keeps the check runs of
// every open pull request right, and obeys comment commands.
//
//	a, err := app.New(app.Options{...})
//	go a.Run(ctx)
//	http.Serve(listener, a.Hook())
//
// It keeps no state of its own. An event says only "look at this pull request";
// looking reads the pull request, its check runs, workflow runs and comments from
// GitHub, decides without side effects what they should be, and makes them so.
// Doing it twice changes nothing, and a restart loses nothing: everything is
// looked at again at the start and at intervals, and deliveries that were missed
// are asked for again.
package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v66/github"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/command"
	"github.com/asterinas/asterbot/internal/github"
)

// Policy is what a repository's configuration, on the base branch, says to the
// App.
type Policy struct {
	// Publish and Answer say whether the App is the one to write check runs, and
	// to answer commands.
	Publish, Answer bool
	// Levels are the least permissions for commands.
	Levels map[string]string
}

func (p Policy) level(n command.Name) string {
	if l := p.Levels[string(n)]; l != "" {
		return l
	}
	return command.Default(n)
}

// The workflows that 'bot init --app' writes.
const (
	DefaultWorkflow = ".github/workflows/compatibility.yml"
	DefaultRebuild  = ".github/workflows/asterbot-rebuild.yml"
)

// Options configure an App.
type Options struct {
	GitHub *github.App
	// Secrets verify webhooks; several allow for rotation.
	Secrets []string
	// ParsePolicy reads .github/asterbot.yml; nil data is a repository without
	// one.
	ParsePolicy func(data []byte) (Policy, error)
	// Config is the path of the configuration in a repository.
	Config string
	// Workflow is the path of the workflow that checks pull requests, Rebuild of
	// the one that is dispatched for /rebuild with arguments.
	Workflow, Rebuild string
	// Workers is how many pull requests are looked at at once.
	Workers int
	// Resync is the interval at which everything is looked at again, Sweep that
	// at which missed deliveries are asked for.
	Resync, Sweep time.Duration
	// Settle is how long events of one pull request are gathered before it is
	// looked at; Refresh is the least time between updates of live counts.
	Settle, Refresh time.Duration
	// Patience is how long a workflow run may take to appear.
	Patience time.Duration
	Log      *slog.Logger
	Metrics  *Metrics
}

// App is the GitHub App.
type App struct {
	opt    Options
	gh     *github.App
	log    *slog.Logger
	m      *Metrics
	q      *queue
	locks  [64]sync.Mutex
	tokens []byte

	mu        sync.Mutex
	slug      string
	botLogin  string
	policies  map[string]memoPolicy
	outcomes  map[int64]string // of comments, as reacted
	reports   map[string]*evidence
	order     []string
	seen      map[string]time.Time // when GitHub first saw a commit
	stale     map[string]bool
	refreshed map[string]time.Time
	pages     map[string]pageEntry
	heads     map[string]openHeads // by repository
	synced    time.Time
	swept     bool
	ready     bool
}

// openHeads are the open pull requests of a repository as a list had them. They
// hold until an event tells of a pull request, and for a minute at most.
type openHeads struct {
	pulls []*gh.PullRequest
	at    time.Time
}

type memoPolicy struct {
	policy Policy
	at     time.Time
	err    error
}

// New makes an App. It refuses to start where anyone could speak for GitHub.
func New(opt Options) (*App, error) {
	if opt.GitHub == nil {
		return nil, errors.New("start the App: no GitHub client")
	}
	opt.Secrets = slices.DeleteFunc(slices.Clone(opt.Secrets), func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(opt.Secrets) == 0 {
		return nil, errors.New("start the App: no webhook secret; without one anybody could send events")
	}
	for i, s := range opt.Secrets {
		if len(s) < 16 {
			return nil, fmt.Errorf("start the App: webhook secret %d has %d characters; want 16 at least", i+1, len(s))
		}
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&opt.Resync, 30*time.Minute)
	def(&opt.Sweep, 5*time.Minute)
	def(&opt.Settle, 300*time.Millisecond)
	def(&opt.Refresh, 20*time.Second)
	def(&opt.Patience, 15*time.Minute)
	if opt.Workers == 0 {
		opt.Workers = 8
	}
	if opt.Config == "" {
		opt.Config = ".github/asterbot.yml"
	}
	if opt.Workflow == "" {
		opt.Workflow = DefaultWorkflow
	}
	if opt.Rebuild == "" {
		opt.Rebuild = DefaultRebuild
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics()
	}
	// Names of rebuilds are derived from the first secret: a restart finds them
	// again, and nobody else can guess them.
	sum := sha256.Sum256([]byte("asterbot rebuild token\x00" + opt.Secrets[0]))
	a := &App{
		opt: opt, gh: opt.GitHub, log: opt.Log, m: opt.Metrics, q: newQueue(), tokens: sum[:], policies: map[string]memoPolicy{}, outcomes: map[int64]string{},
		reports: map[string]*evidence{}, seen: map[string]time.Time{}, stale: map[string]bool{}, refreshed: map[string]time.Time{}, pages: map[string]pageEntry{}, heads: map[string]openHeads{},
	}
	a.m.watch(a)
	return a, nil
}

// Run works until the context ends, and then finishes what it is doing.
func (a *App) Run(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		slug, perms, err := a.gh.Verify(ctx)
		if err == nil {
			a.mu.Lock()
			a.slug, a.botLogin, a.ready = slug, slug+"[bot]", true
			a.mu.Unlock()
			for name, level := range github.Permissions {
				if perms[name] != level && perms[name] != "write" {
					a.log.Warn("the App lacks a permission", "permission", name, "wants", level, "has", perms[name])
				}
			}
			break
		}
		a.log.Error("cannot speak to GitHub yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	// What is being done is finished after the context has ended: within the
	// drain's time.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers sync.WaitGroup
	for range a.opt.Workers {
		workers.Go(func() { a.work(ctx, work) })
	}
	resync := time.NewTimer(0)
	sweep := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			drained := make(chan struct{})
			go func() { workers.Wait(); close(drained) }()
			select {
			case <-drained:
			case <-time.After(20 * time.Second):
				stop()
				<-drained
			}
			return nil
		case <-resync.C:
			next := a.opt.Resync
			if err := a.resync(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("cannot look at everything", "error", err)
				next = min(next, 10*time.Second)
			}
			resync.Reset(next)
		case <-sweep.C:
			if err := a.sweep(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("cannot ask for missed deliveries", "error", err)
			}
			sweep.Reset(a.opt.Sweep)
		}
	}
}

// Ready reports whether the App has spoken to GitHub. It stays ready through
// GitHub's own troubles: events are still taken.
func (a *App) Ready() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready
}

// Idle reports whether nothing is to be done within d.
func (a *App) Idle(d time.Duration) bool {
	a.mu.Lock()
	synced := !a.synced.IsZero()
	a.mu.Unlock()
	return synced && a.q.idle(d)
}

func (a *App) work(ctx, work context.Context) {
	for {
		k, ok := a.q.take(ctx)
		if !ok {
			return
		}
		start := time.Now()
		one, cancel := context.WithTimeout(work, 5*time.Minute)
		err := a.reconcile(one, k)
		cancel()
		a.m.reconciled(time.Since(start), err)
		log := a.log.With("repository", k.Owner+"/"+k.Repo, "pull", k.Pull, "took", time.Since(start).Round(time.Millisecond))
		switch until, limited := github.Limited(err); {
		case limited:
			a.q.park(k.Install, until)
			a.q.done(k, nil)
			a.q.add(k, time.Until(until))
			log.Warn("GitHub asks to wait", "until", until, "error", err)
		case errors.Is(err, github.ErrNoInstallation):
			a.gh.Forget(k.Install)
			a.q.park(k.Install, time.Now().Add(10*time.Minute))
			a.q.done(k, nil)
			log.Warn("the installation is parked", "error", err)
		case github.Status(err) == http.StatusNotFound || github.Status(err) == http.StatusGone:
			a.q.done(k, nil)
			log.Warn("gone", "error", err)
		case err != nil:
			wait := a.q.done(k, err)
			log.Error("will look again", "error", err, "in", wait.Round(time.Millisecond))
		default:
			a.q.done(k, nil)
			log.Debug("looked")
		}
	}
}

func (a *App) reconcile(ctx context.Context, k Key) error {
	switch {
	case k.All && k.Repo == "":
		return a.resyncInstallation(ctx, k.Install)
	case k.All:
		return a.resyncRepo(ctx, k)
	case k.Group != "":
		return a.reconcileGroup(ctx, k)
	case k.Stale != "":
		return a.reconcileStale(ctx, k)
	}
	return a.reconcilePull(ctx, k)
}

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
	// A day's worth of memory is kept; GitHub has the rest.
	if len(a.seen) > 20000 {
		clear(a.seen)
	}
	if len(a.outcomes) > 50000 {
		clear(a.outcomes)
	}
	if len(a.stale) > 20000 {
		clear(a.stale)
	}
	if len(a.refreshed) > 20000 {
		clear(a.refreshed)
	}
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
	for _, r := range repos {
		if !r.GetArchived() {
			a.q.add(Key{Install: id, Owner: r.GetOwner().GetLogin(), Repo: r.GetName(), All: true}, 0)
		}
	}
	return nil
}

func (a *App) resyncRepo(ctx context.Context, k Key) error {
	c := a.gh.Installation(k.Install)
	pulls, err := openPulls(ctx, c, k)
	if err != nil {
		return err
	}
	policy, err := a.policy(ctx, c, k, "")
	if err == nil && !policy.Publish && !policy.Answer {
		return nil
	}
	a.mu.Lock()
	a.heads[k.Owner+"/"+k.Repo] = openHeads{pulls, time.Now()}
	a.mu.Unlock()
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

func openPulls(ctx context.Context, c *github.Client, k Key) ([]*gh.PullRequest, error) {
	pulls, err := github.All(ctx, func(ctx context.Context, o gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
		return c.PullRequests.List(ctx, k.Owner, k.Repo, &gh.PullRequestListOptions{State: "open", ListOptions: o})
	})
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	return pulls, nil
}

// policy reads the configuration of a branch; it is asked for again after a
// minute, and after a push.
func (a *App) policy(ctx context.Context, c *github.Client, k Key, branch string) (Policy, error) {
	name := k.Owner + "/" + k.Repo + "@" + branch
	a.mu.Lock()
	m, ok := a.policies[name]
	a.mu.Unlock()
	if ok && time.Since(m.at) < time.Minute {
		return m.policy, m.err
	}
	var opt *gh.RepositoryContentGetOptions
	if branch != "" {
		opt = &gh.RepositoryContentGetOptions{Ref: branch}
	}
	file, _, _, err := c.Repositories.GetContents(ctx, k.Owner, k.Repo, a.opt.Config, opt)
	var data []byte
	switch {
	case github.Status(err) == http.StatusNotFound:
	case err != nil:
		return Policy{}, fmt.Errorf("read %s of %s: %w", a.opt.Config, name, err)
	case file == nil:
		return Policy{}, fmt.Errorf("read %s of %s: it is a folder", a.opt.Config, name)
	default:
		s, err := file.GetContent()
		if err != nil {
			return Policy{}, fmt.Errorf("read %s of %s: %w", a.opt.Config, name, err)
		}
		data = []byte(s)
	}
	m = memoPolicy{at: time.Now()}
	m.policy, m.err = a.opt.ParsePolicy(data)
	if m.err != nil {
		// A configuration that cannot be read makes the App silent: it does not
		// know whether it is the one to speak.
		a.log.Error("cannot read the configuration", "repository", k.Owner+"/"+k.Repo, "branch", branch, "error", m.err)
		m.policy, m.err = Policy{}, nil
	}
	a.mu.Lock()
	a.policies[name] = m
	a.mu.Unlock()
	return m.policy, nil
}

func (a *App) forgetPolicies(owner, repo string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.policies {
		if strings.HasPrefix(name, owner+"/"+repo+"@") {
			delete(a.policies, name)
		}
	}
}

// lock lets one at a time write to a commit.
func (a *App) lock(name string) func() {
	h := fnv.New32a()
	h.Write([]byte(name))
	l := &a.locks[h.Sum32()%uint32(len(a.locks))]
	l.Lock()
	return l.Unlock
}

// rebuildToken names the rebuild that a comment asked for, of one commit.
func (a *App) rebuildToken(s *scene, comment int64) string {
	m := hmac.New(sha256.New, a.tokens)
	m.Write([]byte(s.key.Owner + "/" + s.key.Repo + "@" + s.sha + "/" + strconv.FormatInt(comment, 10)))
	return hex.EncodeToString(m.Sum(nil))[:24]
}

// bot is the login of the App's user.
func (a *App) bot() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.botLogin
}

// worst orders conclusions.
func worst(a, b checks.Conclusion) checks.Conclusion {
	order := []checks.Conclusion{checks.Failure, checks.Errored, checks.Success, checks.Skipped}
	if slices.Index(order, a) < slices.Index(order, b) {
		return a
	}
	return b
}
