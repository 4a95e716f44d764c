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
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v66/github"
	"golang.org/x/sync/semaphore"

	"github.com/asterinas/asterbot/internal/github"
)

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
	bodies *semaphore.Weighted // of webhooks, in bytes
	// reading lets one artifact at a time be read.
	reading *semaphore.Weighted
	locks   [64]sync.Mutex
	tokens  []byte

	mu        sync.Mutex
	slug      string
	botLogin  string
	policies  map[string]memoPolicy
	outcomes  map[int64]string    // of comments, as reacted
	parsed    map[int64]parsed    // comments that were never changed
	claims    map[int64]time.Time // until when comments are left to others; zero is ours
	reports   map[string]*evidence
	order     []string
	seen      map[string]time.Time // when GitHub first saw a commit
	stale     map[string]bool
	refreshed map[string]time.Time
	nobodys   map[string]time.Time // commits that no pull request offered then
	// ended are dispatched runs that have ended: they stay as they are until
	// GitHub tells otherwise.
	ended  map[int64]*gh.WorkflowRun
	pages  map[string]pageEntry
	heads  map[string]openHeads // by repository
	synced time.Time
	swept  bool
	ready  bool
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
		opt: opt, gh: opt.GitHub, log: opt.Log, m: opt.Metrics, q: newQueue(), bodies: semaphore.NewWeighted(maxBodies), reading: semaphore.NewWeighted(1), tokens: sum[:], policies: map[string]memoPolicy{}, outcomes: map[int64]string{},
		reports: map[string]*evidence{}, parsed: map[int64]parsed{}, claims: map[int64]time.Time{}, seen: map[string]time.Time{}, stale: map[string]bool{}, refreshed: map[string]time.Time{}, nobodys: map[string]time.Time{}, ended: map[int64]*gh.WorkflowRun{}, pages: map[string]pageEntry{}, heads: map[string]openHeads{},
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
	case k.Commit != "":
		return a.reconcileCommit(ctx, k)
	case k.Stale != "":
		return a.reconcileStale(ctx, k)
	}
	return a.reconcilePull(ctx, k)
}

// lock lets one at a time write to a commit.
func (a *App) lock(name string) func() {
	h := fnv.New32a()
	h.Write([]byte(name))
	l := &a.locks[h.Sum32()%uint32(len(a.locks))]
	l.Lock()
	return l.Unlock
}

// bot is the login of the App's user.
func (a *App) bot() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.botLogin
}
