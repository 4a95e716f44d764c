package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// defaultBranch is the workflow of a repository whose default branch is looked at.
const defaultBranch = `name: default branch
on:
  push:
    branches: [main]
jobs:
  main:
    uses: ./.github/workflows/main.yml
    permissions:
      contents: write
      issues: write
`

// home is a home folder whose cache has this machine's set-up and nothing that is
// remembered: where the workflows keep things.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".cache"), 0o755))
	from := cache(t)
	require.NoError(t, os.RemoveAll(filepath.Join(from, "sets"))) // the link, not the folder
	require.NoError(t, os.Rename(from, filepath.Join(dir, ".cache", "asterbot")))
	return dir
}

func TestAPushToTheDefaultBranch(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := kernelRepository(t)
	// act looks for "./" of a called workflow in the caller's tree.
	for _, name := range []string{"main.yml", "compat.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", name))
		require.NoError(t, err)
		write(t, dir, ".github/workflows/"+name, string(text))
	}
	write(t, dir, ".github/workflows/caller.yml", defaultBranch)
	write(t, dir, "src/main.rs", "fn main() { boot() }\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "A first push")
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	caches, runner := t.TempDir(), home(t)
	// renew makes the runner a new machine: what it learnt is in the caches, or lost.
	renew := func() {
		for _, name := range []string{"sets", "memo"} {
			require.NoError(t, os.RemoveAll(filepath.Join(runner, ".cache", "asterbot", name)))
		}
	}
	push := func(workflow string, first *acttest.Result) *acttest.Result {
		sha := git(t, dir, "rev-parse", "HEAD")
		repo.Import("main", sha, nil)
		run := acttest.Run{
			Dir: dir, Repository: "o/r", Workflow: workflow, Event: "push", Bot: bot, API: gh.URL, Token: gh.ActionsToken(repo, map[string]string{"contents": "write", "issues": "write"}),
			Home: runner, Cache: caches,
			Payload: map[string]any{
				"ref": "refs/heads/main", "before": git(t, dir, "rev-parse", "HEAD^"), "after": sha, "repository": map[string]any{"full_name": "o/r", "default_branch": "main"},
				"sender": map[string]any{"login": "ann", "id": 7, "type": "User"},
			},
		}
		renew()
		if first != nil {
			run.Artifacts = first.Artifacts
		}
		return run.Start(ctx, t)
	}
	res := push("caller.yml", nil)
	require.True(t, res.OK, "nothing fails")
	assert.Equal(t, checks.Success, theReport(t, res).Conclusion)
	lines := 0
	for name, text := range repo.Files(action.HistoryBranch) {
		if strings.HasSuffix(name, ".jsonl") {
			lines += strings.Count(text, "\n")
		}
	}
	assert.Equal(t, len(theReport(t, res).Cases), lines, "a line for each case")
	issues, _ := repo.Issues()
	assert.Empty(t, issues)
	var kept []string
	entries, err := os.ReadDir(caches)
	require.NoError(t, err)
	for _, e := range entries {
		kept = append(kept, regexp.MustCompile(`^(asterbot-[a-z]+)-.*`).ReplaceAllString(e.Name(), "$1"))
	}
	for _, want := range []string{"asterbot-memo", "asterbot-eval", "asterbot-kernel"} {
		assert.Contains(t, kept, want)
	}

	// A pull request finds it: the kernel of base is not built again, and nothing
	// is evaluated that was evaluated before.
	git(t, dir, "checkout", "-q", "-b", "next", "main")
	write(t, dir, "src/main.rs", "fn main() { boot(); run() }\n")
	git(t, dir, "commit", "-qam", "next")
	p := open(t, dir, "next", "")
	run := p.run(t, bot)
	write(t, dir, ".github/workflows/pull.yml", strings.ReplaceAll(caller, "asterinas/asterbot/.github/workflows/compat.yml@v1", "./.github/workflows/compat.yml"))
	delete(run.Env, "ASTERBOT_CACHE")
	run.Workflow, run.Home, run.Cache = "pull.yml", runner, caches
	renew()
	pulled := run.Start(ctx, t)
	require.True(t, pulled.OK)
	assert.Contains(t, pulled.Log(), "the kernel of base is in the cache")
	r := theReport(t, pulled)
	require.NotNil(t, r.Plan.Stats)
	assert.True(t, r.Plan.Stats.Remembered, "evaluations are recalled")

	// A failure gets an issue, found again, and closed when it passes.
	git(t, dir, "checkout", "-qf", "main")
	entry := textOf(t, dir, "distro/own.nix")
	for _, tc := range []struct{ says, want string }{{"goodbye", "open"}, {"hello; true", "closed"}} {
		write(t, dir, "distro/own.nix", strings.ReplaceAll(entry, "echo hello", "echo "+tc.says))
		git(t, dir, "commit", "-qam", "Say "+tc.says)
		write(t, dir, ".github/workflows/only.yml", strings.ReplaceAll(caller, "  pull_request:\n  merge_group:\n", "  push:\n"))
		first := push("only.yml", nil)
		afterwards(ctx, t, dir, first)
		push("afterwards.yml", first)
		issues, _ = repo.Issues()
		require.Len(t, issues, 1, tc.says)
		assert.Equal(t, tc.want, issues[0].State, tc.says)
		assert.Contains(t, issues[0].Title, "test/first/greets")
	}
}

// afterwards are the jobs of main.yml that come after the check, as a workflow of its
// own: act does not go on after a called workflow that failed.
func afterwards(_ context.Context, t *testing.T, dir string, first *acttest.Result) {
	t.Helper()
	info, err := os.Stat(filepath.Join(first.Artifacts, "asterbot-report-1"))
	require.NoError(t, err)
	id := fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino) // the stand-in's number of an artifact
	text, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", "main.yml"))
	require.NoError(t, err)
	s := string(text)
	from, to := strings.Index(s, "  compat:\n"), strings.Index(s, "  outcomes:\n")
	require.True(t, from > 0 && to > from)
	s = s[:from] + s[to:]
	s = strings.NewReplacer("    needs: compat\n", "", "needs.compat.outputs.report-id", "'"+id+"'", "needs.compat.outputs.kernel-keys", "''").Replace(s)
	write(t, dir, ".github/workflows/afterwards.yml", s)
}
