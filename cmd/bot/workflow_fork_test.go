package main_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// zipFolder is an artifact as GitHub hands it out.
func zipFolder(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		w, err := z.Create(filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}))
	require.NoError(t, z.Close())
	return b.Bytes()
}

// uploaded are the artifacts that a run of act left.
func uploaded(t *testing.T, res *acttest.Result, prefixes ...string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(res.Artifacts)
	require.NoError(t, err)
	for _, e := range entries {
		for _, p := range prefixes {
			if strings.HasPrefix(e.Name(), p) {
				out[e.Name()] = zipFolder(t, filepath.Join(res.Artifacts, e.Name()))
			}
		}
	}
	return out
}

const hookSecret = "a secret of a webhook"

// serve runs the App, as a process of its own, until the test ends.
func serve(t *testing.T, bot string, gh *githubtest.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	cmd := exec.Command(bot, "serve", "--workflow", ".github/workflows/compat.yml")
	cmd.Env = append(os.Environ(), "ASTERBOT_PRIVATE_KEY="+string(gh.PrivateKey()), "ASTERBOT_WEBHOOK_SECRET="+hookSecret, fmt.Sprint("ASTERBOT_APP_ID=", gh.AppID()), "ASTERBOT_API_URL="+gh.URL, "ASTERBOT_LISTEN="+address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, cmd.Wait())
	})
	require.Eventually(t, func() bool {
		r, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond)
	gh.SetHook("http://" + address + "/webhook")
}

// verdictOf waits for the App's verdict.
func verdictOf(t *testing.T, gh *githubtest.Server, repo *githubtest.Repo, sha string) githubtest.CheckRun {
	t.Helper()
	var found githubtest.CheckRun
	require.Eventually(t, func() bool {
		for _, c := range repo.CheckRuns(sha) {
			if c.Name == checkrun.Verdict && c.App == gh.AppID() && c.Status == "completed" {
				found = c
				return true
			}
		}
		return false
	}, 2*time.Minute, 50*time.Millisecond)
	return found
}

// TestAForksReportIsPublishedByTheApp is a fork's pull request from end to end: its run
// can only leave an artifact, and the App makes check runs of it. Then another
// fork rewrites the workflow, and forges a report in which everything is green.
func TestAForksReportIsPublishedByTheApp(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := sampleRepository(t, bot)
	config := textOf(t, dir, ".github/asterbot.yml") + "publish: app\ncommands: app\n"
	write(t, dir, ".github/asterbot.yml", config)
	git(t, dir, "commit", "-qam", "The App publishes")
	git(t, dir, "checkout", "-q", "-b", "honest", "main")
	write(t, dir, "overlays/hello/0001-greet-from-the-guest.patch", "this is no patch\n")
	git(t, dir, "commit", "-qam", "Break hello")
	p := open(t, dir, "honest", "stranger/r")
	run := p.run(t, bot)
	res := run.Start(ctx, t)
	require.FileExists(t, filepath.Join(res.Artifacts, "asterbot-report-1", "report.json"))

	world := func(p pull, files map[string]string) (*githubtest.Server, *githubtest.Repo, *githubtest.Pull, *githubtest.Run) {
		gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: hookSecret})
		repo := gh.AddRepo("o", "r")
		repo.Import("main", p.base, map[string]string{".github/asterbot.yml": config, ".github/workflows/compat.yml": caller})
		from := repo.Fork("stranger")
		from.Import("branch", p.head, nil)
		pr, opened := repo.OpenPull(githubtest.NewPull{SHA: p.head, From: from, HeadRef: "branch", Author: "stranger", Files: files})
		serve(t, bot, gh)
		require.Equal(t, 202, gh.Send(opened))
		r, d := repo.StartRun(githubtest.NewRun{Path: ".github/workflows/compat.yml", Event: "pull_request", HeadSHA: p.head, HeadRepo: from, HeadBranch: "branch", Actor: "stranger", Status: "in_progress"})
		require.Equal(t, 202, gh.Send(d))
		return gh, repo, pr, r
	}
	gh, repo, _, r := world(p, map[string]string{"overlays/hello/0001-greet-from-the-guest.patch": "x"})
	require.Equal(t, 202, gh.Send(r.Finish("failure", uploaded(t, res, "asterbot-plan-", "asterbot-report-"))))
	verdict := verdictOf(t, gh, repo, p.head)
	assert.Equal(t, "failure", verdict.Conclusion)
	assert.Contains(t, verdict.Title, "hello")
	for _, c := range repo.CheckRuns(p.head) {
		if c.Name == checkrun.Build {
			require.NotEmpty(t, c.Annotations)
			assert.Contains(t, c.Annotations[0]["path"], "overlays/hello/")
		}
	}

	// The forger replaces the workflow with one that leaves what it made up: the
	// honest plan, and a report in which every case of it passes.
	git(t, dir, "checkout", "-q", "-b", "forged", "honest")
	write(t, dir, ".github/workflows/compat.yml", `name: compatibility
on: pull_request
jobs:
  forge:
    runs-on: ubuntu-latest
    steps:
      - run: mkdir plan report && cp "$FORGED/plan.json" plan && cp "$FORGED/report.json" report
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f
        with: {name: asterbot-plan-1, path: plan}
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f
        with: {name: asterbot-report-1, path: report}
`)
	git(t, dir, "commit", "-qam", "All is well")
	f := open(t, dir, "forged", "stranger/r")
	plan, err := report.DecodePlan(strings.NewReader(artifact(t, res, "asterbot-plan-1", "plan.json")))
	require.NoError(t, err)
	plan.Change.Head, plan.Change.Merged = f.head, f.merge
	made := &checks.Report{Change: plan.Change, Conclusion: checks.Success, Headline: "all is well"}
	for _, c := range plan.Cases {
		made.Cases = append(made.Cases, checks.Result{Case: c.Case, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing, Stage: string(c.Kind), Attempts: 1, Passes: 1})
	}
	made.Counts = checks.Count(made.Cases)
	folder := t.TempDir()
	for name, encode := range map[string]func(io.Writer) error{
		"plan.json": func(w io.Writer) error { return report.Encode(w, plan) }, "report.json": func(w io.Writer) error { return report.Encode(w, made) },
	} {
		var doc bytes.Buffer
		require.NoError(t, encode(&doc))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), doc.Bytes(), 0o644))
	}
	forger := f.run(t, bot)
	forger.Env["FORGED"] = folder
	out := forger.Start(ctx, t)
	require.True(t, out.OK)
	require.Equal(t, checks.Success, theReport(t, out).Conclusion, "the forged report decodes, and is green")

	gh, repo, _, r = world(f, map[string]string{"overlays/hello/0001-greet-from-the-guest.patch": "x", ".github/workflows/compat.yml": "x"})
	require.Equal(t, 202, gh.Send(r.Finish("success", uploaded(t, out, "asterbot-plan-", "asterbot-report-"))))
	verdict = verdictOf(t, gh, repo, f.head)
	assert.Equal(t, "action_required", verdict.Conclusion, "it is not believed")
	assert.Contains(t, verdict.Summary, ".github/workflows/compat.yml")
	for _, c := range repo.CheckRuns(f.head) {
		assert.NotEqual(t, "success", c.Conclusion, "no stage of it is green: %s", c.Name)
	}
}

// TestAFirstConfigurationIsAdvisory is the pull request that takes asterbot into use.
func TestAFirstConfigurationIsAdvisory(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := kernelRepository(t)
	git(t, dir, "checkout", "-q", "-b", "adopt", "main")
	git(t, dir, "checkout", "-q", "--orphan", "before", "main")
	git(t, dir, "rm", "-rq", "--cached", ".")
	git(t, dir, "add", "src")
	git(t, dir, "commit", "-qm", "Before asterbot")
	git(t, dir, "checkout", "-qf", "adopt")
	git(t, dir, "reset", "-q", "--soft", "before")
	// The entry's own kernel would do as well; none is built here.
	write(t, dir, ".github/asterbot.yml", "entry: distro/own.nix\npublish: token\n")
	text := textOf(t, dir, "distro/own.nix")
	write(t, dir, "distro/own.nix", text[:strings.Index(text, "  suites.first")]+"  suites = { };\n}\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Use asterbot")
	git(t, dir, "branch", "-qf", "main", "before")
	p := open(t, dir, "adopt", "")
	run := p.run(t, bot)
	_, repo, _ := p.onGitHub(t, &run, map[string]string{"checks": "write", "contents": "read", "pull_requests": "read"})
	res := run.Start(ctx, t)
	r := theReport(t, res)
	assert.Equal(t, checks.Success, r.Conclusion, r.Headline)
	assert.Contains(t, strings.Join(r.Notices, "\n"), "its verdict is advisory")
	assert.Equal(t, checks.New, caseOf(t, r, checks.KindEval, "greeting").Verdict, "base had none")
	assert.True(t, publish(ctx, t, run, res).OK)
	assert.Empty(t, repo.CheckRuns(p.head), "a change does not decide who publishes it")
}
