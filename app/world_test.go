package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

const (
	secret   = "a secret of a webhook"
	workflow = app.DefaultWorkflow
	rebuild  = app.DefaultRebuild
)

// Worlds wait for timers more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("8")
	}
	os.Exit(m.Run())
}

// world is a GitHub with one repository, and an App that looks after it.
type world struct {
	t    testing.TB
	gh   *githubtest.Server
	repo *githubtest.Repo
	app  *app.App
	hook *httptest.Server
	stop func()
	// base is the path of the API: empty, or a GitHub Enterprise Server's.
	base string
}

func policy(data []byte) (app.Policy, error) {
	s := string(data)
	return app.Policy{Publish: strings.Contains(s, "publish: app"), Answer: strings.Contains(s, "commands: app")}, nil
}

var baseFiles = map[string]string{
	".github/asterbot.yml": "publish: app\ncommands: app\n",
	workflow:               "on: pull_request\njobs:\n  check:\n    uses: asterinas/asterbot/.github/workflows/compat.yml@v1\n",
	rebuild:                template("asterbot-rebuild.yml"),
}

// template is a file that 'bot init' writes.
func template(name string) string {
	data, err := os.ReadFile(filepath.Join("..", "cmd", "bot", "templates", name))
	if err != nil {
		panic(err)
	}
	return string(data)
}

func newWorld(t testing.TB, opt ...func(*app.Options)) *world {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // worlds have nothing in common, and wait most of the time
	}
	w := &world{t: t, gh: githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: secret})}
	w.repo = w.gh.AddRepo("asterinas", "asterinas")
	w.repo.Commit("main", baseFiles)
	w.repo.SetRole("maintainer", "maintain")
	w.repo.SetRole("triager", "triage")
	w.start(opt...)
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts the App, as a new process would.
func (w *world) start(opt ...func(*app.Options)) {
	w.t.Helper()
	metrics := app.NewMetrics()
	client, err := github.NewApp(github.AppOptions{ID: w.gh.AppID(), Key: w.gh.PrivateKey(), Options: github.Options{BaseURL: w.gh.URL + w.base, WritesPerMinute: 100000, Observe: metrics.Observe}})
	require.NoError(w.t, err)
	o := app.Options{GitHub: client, Secrets: []string{secret}, ParsePolicy: policy, Workflow: workflow, Rebuild: rebuild, Settle: 5 * time.Millisecond, Refresh: 10 * time.Millisecond, Metrics: metrics}
	if os.Getenv("ASTERBOT_TEST_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, f := range opt {
		f(&o)
	}
	w.app, err = app.New(o)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.app.Run(ctx) }()
	w.hook = httptest.NewServer(w.app.Hook())
	w.gh.SetHook(w.hook.URL)
	w.stop = func() { cancel(); <-done; w.hook.Close() }
	require.Eventually(w.t, func() bool { return w.app.Idle(time.Second) }, 20*time.Second, 2*time.Millisecond)
}

// send delivers, and waits until everything is done.
func (w *world) send(ds ...*githubtest.Delivery) {
	w.t.Helper()
	for _, d := range ds {
		require.Equal(w.t, 202, w.gh.Send(d), d.Event)
	}
	w.settle()
}

func (w *world) settle() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.app.Idle(3 * time.Second) }, 60*time.Second, 2*time.Millisecond)
}

// checks are the newest check runs of a commit by name.
func (w *world) checks(sha string) map[string]githubtest.CheckRun {
	out := map[string]githubtest.CheckRun{}
	for _, c := range w.repo.CheckRuns(sha) {
		if c.App == w.gh.AppID() {
			out[c.Name] = c
		}
	}
	return out
}

func (w *world) verdict(p *githubtest.Pull) githubtest.CheckRun {
	return w.checks(p.Head())[checkrun.Verdict]
}

func aCase(kind checks.Kind, subject, name string, now checks.Status) checks.Result {
	r := checks.Result{Case: checks.Case{Kind: kind, Of: distro.KindPackage, Subject: subject, Name: name}, Was: checks.Pass, Now: now, Verdict: checks.Passing, Attempts: 1, Stage: string(kind)}
	if now == checks.Fail {
		r.Verdict, r.Blame, r.Reason = checks.Regressed, checks.BlamePackage, "it does not build"
	}
	return r
}

func makeReport(base, head string, cases ...checks.Result) *checks.Report {
	plan := &checks.Plan{Schema: checks.SchemaPlan, Change: distro.Change{Base: base, Head: head, Files: []string{"overlays/lua.nix"}}}
	for _, c := range cases {
		plan.Cases = append(plan.Cases, checks.PlannedCase{Case: c.Case, Why: "it is affected"})
	}
	rep := &checks.Report{Schema: checks.SchemaReport, Change: plan.Change, Plan: plan, Cases: cases, Counts: checks.Count(cases), Conclusion: checks.Conclude(cases)}
	rep.Headline = report.Headline(rep)
	return rep
}

func zipOf(files map[string][]byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, data := range files {
		f, err := z.Create(n)
		if err != nil {
			panic(err)
		}
		f.Write(data)
	}
	z.Close()
	return b.Bytes()
}

// artifacts are what a run leaves for a report.
func artifacts(attempt int, rep *checks.Report) map[string][]byte {
	var r, p bytes.Buffer
	if err := report.Encode(&r, rep); err != nil {
		panic(err)
	}
	if err := report.Encode(&p, rep.Plan); err != nil {
		panic(err)
	}
	return map[string][]byte{
		fmt.Sprintf("asterbot-report-%d", attempt): zipOf(map[string][]byte{"report.json": r.Bytes(), "report.md": []byte("x")}),
		fmt.Sprintf("asterbot-plan-%d", attempt):   zipOf(map[string][]byte{"plan.json": p.Bytes()}),
	}
}

func conclusionOf(rep *checks.Report) string {
	if rep.Conclusion.ExitCode() == 0 {
		return "success"
	}
	return "failure"
}

// finish ends a run with a report.
func (w *world) finish(run *githubtest.Run, cases ...checks.Result) {
	w.t.Helper()
	rep := makeReport(w.repo.Tip("main"), run.Get().HeadSHA, cases...)
	w.send(run.Finish(conclusionOf(rep), artifacts(run.Get().Attempt, rep)))
}
