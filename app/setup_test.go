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
	s := githubtest.New(t, githubtest.Options{Permissions: github.Permissions, Events: github.Events})
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

// examine looks at a repository with both an administrator's and the App's eyes.
func examine(t *testing.T, s *githubtest.Server, r *githubtest.Repo, c *github.Client) app.Examination {
	t.Helper()
	a, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL}})
	require.NoError(t, err)
	return app.Examination{Client: c, Owner: r.Owner, Repo: r.Name, AppID: 77, App: a, ParsePolicy: policy, Workflow: workflow, Rebuild: rebuild}
}

func TestDoctorOfTheInstallation(t *testing.T) {
	what := func(t *testing.T, x app.Examination) (out []string) {
		found, err := x.Findings(t.Context())
		require.NoError(t, err)
		for _, f := range found {
			out = append(out, f.Level+": "+f.What)
		}
		return out
	}
	s, r, c := admin(t)
	i := s.Install("asterinas")
	i.Permissions = map[string]string{"checks": "read", "secrets": "write", "metadata": "read", "contents": "read", "actions": "write", "issues": "read", "pull_requests": "write"}
	got := what(t, examine(t, s, r, c))
	assert.Contains(t, got, "broken: the App has the permission checks: read, and needs write")
	assert.Contains(t, got, "unsafe: the App has the permission secrets: write, and needs none")
	s.Suspend(i, true)
	assert.Contains(t, what(t, examine(t, s, r, c)), "broken: the App's installation is suspended")
	x := examine(t, s, r, c)
	x.App = nil
	assert.Contains(t, what(t, x), "unknown: what the App may do here: only the App itself is told")
	r.Commit("main", map[string]string{".github/asterbot.yml": "commands: app\n", rebuild: "on:\n  workflow_dispatch:\n    inputs: {token: {}}\n"})
	assert.Contains(t, what(t, x), "broken: "+rebuild+` has no input "pull"`)
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
		s, r, c := admin(t)
		r.Commit("main", map[string]string{workflow: "on: pull_request_target\njobs:\n  asterbot:\n    secrets: inherit\n    uses: a/b/.github/workflows/c.yml@main\n"})
		r.SetActions("workflow", map[string]any{"default_workflow_permissions": "write", "can_approve_pull_request_reviews": true})
		r.SetActions("fork-approval", map[string]any{"approval_policy": "first_time_contributors_new_to_github"})
		found, err := examine(t, s, r, c).Findings(t.Context())
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
		s, r, c := admin(t)
		r.Commit("main", map[string]string{".github/asterbot.yml": baseFiles[".github/asterbot.yml"],
			workflow: template("workflow.yml"), rebuild: template("asterbot-rebuild.yml")})
		_, err := app.RequireVerdict(t.Context(), c, r.Owner, r.Name, 77)
		require.NoError(t, err)
		found, err := examine(t, s, r, c).Findings(t.Context())
		require.NoError(t, err)
		for _, f := range found {
			assert.Equal(t, "ok", f.Level, f.What)
		}
	})
	t.Run("a check that anybody may forge", func(t *testing.T) {
		s, r, c := admin(t)
		req, err := c.NewRequest(http.MethodPost, "repos/asterinas/asterinas/rulesets", map[string]any{"name": "x", "target": "branch", "enforcement": "active", "rules": []any{map[string]any{"type": "required_status_checks", "parameters": map[string]any{
			"strict_required_status_checks_policy": false, "required_status_checks": []any{map[string]any{"context": "asterbot"}, map[string]any{"context": "asterbot / boot"}}}}}})
		require.NoError(t, err)
		_, err = c.Do(t.Context(), req, nil)
		require.NoError(t, err)
		found, err := examine(t, s, r, c).Findings(t.Context())
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
