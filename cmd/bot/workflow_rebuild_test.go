package main_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// zips are the artifacts that a run on this machine left, as GitHub hands them out.
func zips(t *testing.T, res *acttest.Result) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	dirs, err := os.ReadDir(res.Artifacts)
	require.NoError(t, err)
	for _, d := range dirs {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		root := filepath.Join(res.Artifacts, d.Name())
		require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			w, err := z.Create(strings.TrimPrefix(p, root+"/"))
			if err != nil {
				return err
			}
			_, err = w.Write(data)
			return err
		}))
		require.NoError(t, z.Close())
		out[d.Name()] = b.Bytes()
	}
	return out
}

// TestRebuildOfOnePackageFromCommentToCheckRun is the whole path: a fork's run
// leaves a report, the App publishes it, a comment asks for one package again, the
// App dispatches the workflow that 'bot init' writes, and what that leaves is shown
// on the pull request's head.
func TestRebuildOfOnePackageFromCommentToCheckRun(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := sampleRepository(t, bot)
	caller, err := os.ReadFile("templates/asterbot-rebuild.yml")
	require.NoError(t, err)
	write(t, dir, app.DefaultRebuild, string(caller))
	write(t, dir, ".github/asterbot.yml", readFile(t, filepath.Join(dir, ".github/asterbot.yml"))+"\npublish: app\ncommands: app\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Use the App")
	// The branch is as old as main was: bring it up to date, as its author would.
	git(t, dir, "checkout", "-q", "-b", "fix", "stale-patch")
	git(t, dir, "rebase", "-q", "main")
	p := open(t, dir, "fix", "stranger/r")

	const secret = "a secret of a webhook"
	gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Secret: secret})
	repo := gh.AddRepo("o", "r")
	fork := repo.Fork("stranger")
	files := map[string]string{}
	for _, f := range []string{".github/asterbot.yml", ".github/workflows/compat.yml", app.DefaultRebuild} {
		files[f] = readFile(t, filepath.Join(dir, f))
	}
	repo.Import("main", p.base, files)
	fork.Import("fix", p.head, files)
	repo.SetRole("ann", "triage")
	client, err := github.NewApp(github.AppOptions{ID: gh.AppID(), Key: gh.PrivateKey(), Options: github.Options{BaseURL: gh.URL}})
	require.NoError(t, err)
	a, err := app.New(app.Options{
		GitHub: client, Secrets: []string{secret}, Workflow: ".github/workflows/compat.yml", Settle: 5 * time.Millisecond, Refresh: 10 * time.Millisecond,
		ParsePolicy: func([]byte) (app.Policy, error) { return app.Policy{Publish: true, Answer: true}, nil },
	})
	require.NoError(t, err)
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	hook := httptest.NewServer(a.Hook())
	t.Cleanup(hook.Close)
	gh.SetHook(hook.URL)
	send := func(d *githubtest.Delivery) {
		t.Helper()
		require.Equal(t, 202, gh.Send(d))
		require.Eventually(t, func() bool { return a.Idle(3 * time.Second) }, time.Minute, 5*time.Millisecond)
	}
	verdict := func() (v githubtest.CheckRun) {
		for _, c := range repo.CheckRuns(p.head) {
			if c.Name == checkrun.Verdict {
				v = c
			}
		}
		return v
	}

	pr, opened := repo.OpenPull(githubtest.NewPull{SHA: p.head, HeadRef: "fix", From: fork, Author: "stranger", Files: map[string]string{"overlays/sed/0001-say-the-distribution.patch": ""}})
	send(opened)
	own, started := pr.RunFor(".github/workflows/compat.yml")
	own.Set(func(r *githubtest.Run) {
		r.Referenced = []githubtest.Referenced{{Path: "asterinas/asterbot/.github/workflows/compat.yml@v1", SHA: strings.Repeat("1", 40)}}
	})
	send(started)
	first := p.run(t, bot).Start(ctx, t)
	send(own.Finish("failure", zips(t, first)))
	require.Equal(t, "failure", verdict().Conclusion, verdict().Title)
	require.Contains(t, verdict().Title, "sed no longer builds")

	_, comment := pr.Comment("ann", "/rebuild sed")
	send(comment)
	var dispatched *githubtest.Run
	for _, r := range repo.Runs() {
		if r.Get().Event == "workflow_dispatch" {
			dispatched = r
		}
	}
	require.NotNil(t, dispatched, "%v", pr.Comments())
	assert.Equal(t, "in_progress", verdict().Status)
	inputs := map[string]string{}
	for k, v := range dispatched.Inputs {
		inputs[k], _ = v.(string)
	}

	git(t, dir, "checkout", "-q", "main") // a dispatched run belongs to the default branch
	again := acttest.Run{
		Dir: dir, Repository: "o/r", Workflow: filepath.Base(app.DefaultRebuild), Event: "workflow_dispatch", Bot: bot, Inputs: inputs,
		Payload: map[string]any{"inputs": inputs, "ref": "refs/heads/main", "repository": map[string]any{"full_name": "o/r", "default_branch": "main", "name": "r", "owner": map[string]any{"login": "o"}}, "sender": map[string]any{"login": "asterbot[bot]", "id": 1, "type": "Bot"}},
		Env:     map[string]string{"ASTERBOT_CACHE": cache(t), "ASTERBOT_TRUST": "all"},
	}
	second := again.Start(ctx, t)
	assert.False(t, second.OK, "it is as broken as before")
	rep := theReport(t, second)
	assert.Equal(t, p.head, rep.Change.Head)
	assert.Equal(t, p.base, rep.Change.Base)
	assert.Equal(t, checks.Failure, rep.Conclusion)
	assert.Equal(t, "sed text", inputs["only"], "the package, and the suite that tests it")
	for _, c := range rep.Cases {
		assert.Contains(t, []string{"sed", "text"}, c.Subject, "nothing else ran")
	}
	plan, err := report.DecodePlan(strings.NewReader(artifact(t, second, "asterbot-plan-1", "plan.json")))
	require.NoError(t, err)
	assert.NotEmpty(t, plan.Cases)

	send(dispatched.Finish("failure", zips(t, second)))
	v := verdict()
	assert.Equal(t, "failure", v.Conclusion)
	assert.Contains(t, v.Title, "sed no longer builds")
	assert.NotContains(t, v.Title, "Infrastructure")
	assert.Contains(t, v.Summary, "`sed`")
	id, _ := checkrun.ParseID(v.ExternalID)
	require.Len(t, id.Dispatched, 1)
	assert.Equal(t, dispatched.ID, id.Dispatched[0].Run)
	assert.Equal(t, inputs["token"], id.Dispatched[0].Token)
}

func readFile(t *testing.T, p string) string {
	t.Helper()
	data, err := os.ReadFile(p)
	require.NoError(t, err)
	return string(data)
}
