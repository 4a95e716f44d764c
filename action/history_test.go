package action_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// onGitHub is a repository, and a client with a workflow's token for it.
func onGitHub(t *testing.T, permissions map[string]string) (*githubtest.Server, *githubtest.Repo, *github.Client) {
	t.Helper()
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("o", "r")
	c, err := github.New(github.Options{BaseURL: s.URL, Token: s.ActionsToken(r, permissions)})
	require.NoError(t, err)
	return s, r, c
}

func result(subject, name string, status checks.Status, title string) checks.Result {
	return checks.Result{Case: checks.Case{Kind: checks.KindTest, Of: distro.KindSuite, Subject: subject, Name: name}, Was: checks.Unknown, Now: status, Title: title, Reason: title, Attempts: 1}
}

func reportOf(commit string, cases ...checks.Result) *checks.Report {
	return &checks.Report{Change: distro.Change{Base: commit, Head: commit, Merged: commit}, Cases: cases}
}

func TestHistory(t *testing.T) {
	_, repo, c := onGitHub(t, map[string]string{"contents": "write"})
	h := &action.History{Client: c, Owner: "o", Repo: "r"}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	one := strings.Repeat("1", 40)

	done, err := h.Append(t.Context(), reportOf(one, result("base", "ls", checks.Pass, "")), 7, 1, now)
	require.NoError(t, err)
	assert.True(t, done)
	first := repo.History(action.HistoryBranch)
	require.Len(t, first, 1, "the branch shares no commit with another")
	assert.Contains(t, repo.Files(action.HistoryBranch)["README.md"], "a line of JSON for each case")

	done, err = h.Append(t.Context(), reportOf(one, result("base", "ls", checks.Pass, "")), 7, 1, now)
	require.NoError(t, err)
	assert.False(t, done, "what is recorded is recorded once")

	done, err = h.Append(t.Context(), reportOf(one, result("base", "ls", checks.Fail, "exit status 1"), result("base", "cp", checks.Pass, "")), 8, 1, now)
	require.NoError(t, err)
	assert.True(t, done)
	assert.Equal(t, first, repo.History(action.HistoryBranch)[1:], "history is only added to")
	files := repo.Files(action.HistoryBranch)
	assert.Contains(t, files, "2026-11/7-1.jsonl")
	lines := strings.Split(strings.TrimSpace(files["2026-11/8-1.jsonl"]), "\n")
	require.Len(t, lines, 2, "a line for each case")
	var line action.HistoryLine
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	assert.Equal(t, "ls", line.Name)
	assert.Equal(t, checks.Fail, line.Status)
	assert.Equal(t, "exit status 1", line.Title)
	assert.Equal(t, one, line.Commit)

	done, err = h.Append(t.Context(), reportOf(one), 9, 1, now)
	require.NoError(t, err)
	assert.False(t, done, "a run without cases leaves no file")
}

// Another run's commit comes in between looking and moving the branch.
func TestHistoryOfTwoRunsAtOnce(t *testing.T) {
	s, repo, c := onGitHub(t, map[string]string{"contents": "write"})
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	one := strings.Repeat("1", 40)
	h := &action.History{Client: c, Owner: "o", Repo: "r"}
	_, err := h.Append(t.Context(), reportOf(one, result("base", "ls", checks.Pass, "")), 1, 1, now)
	require.NoError(t, err)
	raced := false
	s.Inject(func(r *http.Request) *githubtest.Fault {
		if r.Method == http.MethodPatch && !raced {
			raced = true
			repo.Commit(action.HistoryBranch, map[string]string{"2026-11/2-1.jsonl": "{}\n"})
		}
		return nil
	})
	done, err := h.Append(t.Context(), reportOf(one, result("base", "ls", checks.Pass, "")), 3, 1, now)
	require.NoError(t, err)
	assert.True(t, done)
	assert.True(t, raced)
	files := repo.Files(action.HistoryBranch)
	for _, name := range []string{"1-1", "2-1", "3-1"} {
		assert.Contains(t, files, "2026-11/"+name+".jsonl", "none is lost")
	}
}
