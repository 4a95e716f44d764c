package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func TestManifestFlow(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{Permissions: github.Permissions})
	m, err := app.NewManifest("asterbot", "https://example.test", "https://example.test/webhook", "http://127.0.0.1:1/created")
	require.NoError(t, err)
	var sent map[string]any
	require.NoError(t, json.Unmarshal([]byte(m.JSON()), &sent))
	assert.Equal(t, "read", sent["default_permissions"].(map[string]any)["contents"])
	c, err := github.New(github.Options{BaseURL: s.URL})
	require.NoError(t, err)
	code := s.RegisterManifest(sent)
	created, err := app.Convert(t.Context(), c, code)
	require.NoError(t, err)
	assert.Equal(t, s.AppID(), created.ID)
	_, err = app.Convert(t.Context(), c, code)
	assert.Error(t, err, "a code holds once")
	_, err = app.NewManifest("x", "https://example.test", "nonsense", "http://x/y")
	assert.ErrorContains(t, err, "webhook")
}

// admin is a client of an administrator of a repository.
func admin(t *testing.T) (*githubtest.Server, *githubtest.Repo, *github.Client) {
	t.Helper()
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("asterinas", "asterinas")
	r.SetRole("owner", "admin")
	c, err := github.New(github.Options{BaseURL: s.URL, Token: s.UserToken("owner")})
	require.NoError(t, err)
	return s, r, c
}

func TestRulesetPinsTheApp(t *testing.T) {
	_, r, c := admin(t)
	for i, want := range []bool{true, false} {
		changed, err := app.RequireVerdict(t.Context(), c, r.Owner, r.Name, 77)
		require.NoError(t, err)
		assert.Equal(t, want, changed, "time %d", i)
	}
	changed, err := app.RequireVerdict(t.Context(), c, r.Owner, r.Name, 78)
	require.NoError(t, err)
	assert.True(t, changed, "another App")
	require.Len(t, r.Rulesets(), 1)
}

func TestDoctor(t *testing.T) {
	levels := func(list []app.Finding) map[string]string {
		out := map[string]string{}
		for _, f := range list {
			out[f.What] = f.Level
		}
		return out
	}
	t.Run("a repository that is not set up", func(t *testing.T) {
		_, r, c := admin(t)
		r.Commit("main", map[string]string{workflow: "on: pull_request_target\njobs:\n  asterbot:\n    secrets: inherit\n    uses: a/b/.github/workflows/c.yml@main\n"})
		r.SetActions("workflow", map[string]any{"default_workflow_permissions": "write", "can_approve_pull_request_reviews": true})
		r.SetActions("fork-approval", map[string]any{"approval_policy": "first_time_contributors_new_to_github"})
		found, err := app.Examine(t.Context(), c, r.Owner, r.Name, 77, policy, workflow, rebuild)
		require.NoError(t, err)
		l := levels(found)
		assert.Equal(t, "unsafe", l[`no rule requires the check "asterbot": a pull request can be merged without it`])
		assert.Equal(t, "unsafe", l["GITHUB_TOKEN may write by default"])
		assert.Equal(t, "unsafe", l["workflows may approve pull requests"])
		assert.Equal(t, "unsafe", l[workflow+" runs on pull_request_target: code of forks would run with secrets"])
		assert.Equal(t, "unsafe", l[workflow+" hands all secrets on"])
		assert.Equal(t, "broken", l["the App publishes nothing here: .github/asterbot.yml does not say `publish: app`"])
		for _, f := range found {
			if f.Level == "unsafe" || f.Level == "broken" {
				assert.NotEmpty(t, f.Do, f.What)
			}
		}
	})
	t.Run("one that is", func(t *testing.T) {
		_, r, c := admin(t)
		r.Commit("main", map[string]string{".github/asterbot.yml": baseFiles[".github/asterbot.yml"],
			workflow: "on:\n  pull_request:\n    types: [opened, synchronize, reopened, ready_for_review, edited]\n  merge_group:\njobs: {check: {uses: a/b/.github/workflows/c.yml@v1}}\n",
			rebuild:  "run-name: ${{ inputs.token }}\non: workflow_dispatch\n"})
		_, err := app.RequireVerdict(t.Context(), c, r.Owner, r.Name, 77)
		require.NoError(t, err)
		found, err := app.Examine(t.Context(), c, r.Owner, r.Name, 77, policy, workflow, rebuild)
		require.NoError(t, err)
		for _, f := range found {
			assert.Equal(t, "ok", f.Level, f.What)
		}
	})
	t.Run("a check that anybody may forge", func(t *testing.T) {
		_, r, c := admin(t)
		req, err := c.NewRequest(http.MethodPost, "repos/asterinas/asterinas/rulesets", map[string]any{"name": "x", "target": "branch", "enforcement": "active", "rules": []any{map[string]any{"type": "required_status_checks", "parameters": map[string]any{
			"strict_required_status_checks_policy": false, "required_status_checks": []any{map[string]any{"context": "asterbot"}, map[string]any{"context": "asterbot / boot"}}}}}})
		require.NoError(t, err)
		_, err = c.Do(t.Context(), req, nil)
		require.NoError(t, err)
		found, err := app.Examine(t.Context(), c, r.Owner, r.Name, 77, policy, workflow, rebuild)
		require.NoError(t, err)
		l := levels(found)
		assert.Equal(t, "unsafe", l[`the required check "asterbot" may come from anybody: any workflow with a token that writes checks can forge it`])
		assert.Equal(t, "broken", l[`"asterbot / boot" is required too: it is missing where nothing was to be done`])
	})
}

// The status page as a browser shows it; its policy allows no script.
func TestStatusPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt-get install chromium")
	}
	w := newWorld(t)
	p, opened := w.repo.OpenPull(githubtest.NewPull{Title: "Lua <i>5.5</i>"})
	w.send(opened)
	run, _ := p.RunFor(workflow)
	w.finish(run, good(), broken())
	s := httptest.NewServer(w.app.Public())
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--dump-dom", s.URL+"/").Output()
	require.NoError(t, err)
	dom := string(out)
	assert.Contains(t, dom, "asterinas/asterinas#1</a> Lua &lt;i&gt;5.5&lt;/i&gt;")
	assert.Contains(t, dom, "✗ failure")
	assert.Contains(t, dom, "1 regression in 2 cases")
}
