package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// What is kept for all pull requests is nothing that one of them may add to.
func TestHistoryAndIssuesAreTheDefaultBranchsAlone(t *testing.T) {
	sha, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	repository := map[string]any{"full_name": "o/r", "default_branch": "main"}
	push := map[string]any{"ref": "refs/heads/main", "before": other, "after": sha, "repository": repository}
	pull := map[string]any{"action": "opened", "number": 1, "repository": repository, "pull_request": map[string]any{
		"number": 1, "base": map[string]any{"sha": other}, "head": map[string]any{"sha": sha, "repo": map[string]any{"full_name": "o/r"}},
	}}
	for _, tc := range []struct {
		name, event, ref, about string
		payload                 map[string]any
		code                    int
		says                    string
	}{
		{"a push to the default branch", "push", "refs/heads/main", sha, push, 0, ""},
		{"the nightly run", "schedule", "refs/heads/main", sha, map[string]any{"repository": repository}, 0, ""},
		{"a run by hand on another branch", "workflow_dispatch", "refs/heads/mine", sha, map[string]any{"repository": repository}, 2, "for runs of the default branch, refs/heads/main, and not for refs/heads/mine"},
		{"a pull request", "pull_request", "refs/pull/1/merge", sha, pull, 2, "for runs of the default branch"},
		{"a pull request that calls itself the default branch", "pull_request", "refs/heads/main", sha, pull, 2, "for runs of the default branch"},
		{"a report of another commit", "push", "refs/heads/main", other, push, 3, "nothing was kept"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gh := githubtest.New(t, githubtest.Options{})
			repo := gh.AddRepo("o", "r")
			dir := t.TempDir()
			fails := checks.Result{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "sed", Name: "builds"}, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed, Stage: "build", Reason: "its builder failed", Attempts: 1}
			rep := &checks.Report{Change: distro.Change{Base: other, Head: tc.about, Merged: tc.about, Files: []string{}}, Cases: []checks.Result{fails}, Conclusion: checks.Failure}
			rep.Counts = checks.Count(rep.Cases)
			putDocument(t, filepath.Join(dir, "report/report.json"), rep)
			event, err := json.Marshal(tc.payload)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "event.json"), event, 0o644))
			vars := map[string]string{
				"GITHUB_EVENT_NAME": tc.event, "GITHUB_EVENT_PATH": filepath.Join(dir, "event.json"), "GITHUB_SHA": sha, "GITHUB_REF": tc.ref, "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1",
				"GITHUB_REPOSITORY": "o/r", "GITHUB_SERVER_URL": "https://github.test", "ASTERBOT_OUT": filepath.Join(dir, "report"), "ASTERBOT_API_URL": gh.URL,
				"ASTERBOT_TOKEN": gh.ActionsToken(repo, map[string]string{"contents": "write", "issues": "write"}),
			}
			for _, command := range []string{"history", "track"} {
				code, out, errs := botWith(t.Context(), vars, "action", command)
				assert.Equal(t, tc.code, code, "%s: %s%s", command, out, errs)
				assert.Contains(t, out.String(), tc.says)
			}
			issues, _ := repo.Issues()
			if tc.code != 0 {
				assert.Empty(t, repo.History(action.HistoryBranch))
				assert.Empty(t, issues)
				return
			}
			assert.Len(t, repo.History(action.HistoryBranch), 1)
			require.Len(t, issues, 1)
			assert.Equal(t, "build/sed/builds: its builder failed", issues[0].Title)
		})
	}
}
