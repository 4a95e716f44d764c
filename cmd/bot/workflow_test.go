package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/acttest"
)

// binary builds bot once for all tests of a process.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bot-under-test-")
	if err != nil {
		return "", err
	}
	bot := filepath.Join(dir, "bot")
	out, err := exec.Command("go", "build", "-o", bot, ".").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return bot, nil
})

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

// caller is the workflow of a repository that uses asterbot.
const caller = `name: compatibility
on:
  pull_request:
  merge_group:
jobs:
  compat:
    uses: asterinas/asterbot/.github/workflows/compat.yml@v1
    permissions:
      contents: read
`

// pull is a pull request of a repository on this machine.
type pull struct {
	dir, base, head, merge string
	repository, fork       string
	number                 int
}

// sampleRepository is the sample distribution, with a workflow.
func sampleRepository(t *testing.T, bot string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	out, err := exec.Command(bot, "demo", "--only-create", "--dir", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	git(t, dir, "checkout", "-q", "main")
	write(t, dir, ".github/workflows/compat.yml", caller)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Use asterbot")
	git(t, dir, "remote", "add", "origin", "https://github.com/o/r") // act reads the repository's name from it
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
	require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
}

// open makes a pull request of a branch: the merge that GitHub would have made is checked out.
func open(t *testing.T, dir, branch, fork string) pull {
	t.Helper()
	p := pull{dir: dir, repository: "o/r", fork: fork, number: 5}
	p.base = git(t, dir, "rev-parse", "main")
	p.head = git(t, dir, "rev-parse", branch)
	git(t, dir, "checkout", "-q", "--detach", "main")
	git(t, dir, "merge", "-q", "--no-ff", "-m", "Merge", branch)
	p.merge = git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "update-ref", "refs/pull/5/merge", p.merge)
	return p
}

func (p pull) event(action string) map[string]any {
	repo := func(name string) map[string]any {
		return map[string]any{"full_name": name, "default_branch": "main", "name": "r", "owner": map[string]any{"login": "o"}}
	}
	from := p.repository
	if p.fork != "" {
		from = p.fork
	}
	return map[string]any{
		"action": action, "number": p.number, "repository": repo(p.repository), "sender": map[string]any{"login": "ann", "id": 7, "type": "User"},
		"pull_request": map[string]any{
			"number": p.number, "draft": false, "base": map[string]any{"sha": p.base, "ref": "main", "repo": repo(p.repository)},
			"head": map[string]any{"sha": p.head, "ref": "branch", "repo": repo(from)},
		},
	}
}

// cache is a folder with the control kernel of this machine's set-up and nothing that is remembered.
func cache(t *testing.T) string {
	t.Helper()
	home, err := os.UserCacheDir()
	require.NoError(t, err)
	from := filepath.Join(home, "asterbot")
	if dir := os.Getenv("ASTERBOT_CACHE"); dir != "" {
		from = dir
	}
	if _, err := os.Stat(filepath.Join(from, "host.nix")); err != nil {
		t.Skip("needs the set-up (make setup): there is no host.nix in " + from)
	}
	dir := t.TempDir()
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "memo" && e.Name() != "eval" {
			require.NoError(t, os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	return dir
}

func TestAPullRequestUnderAct(t *testing.T) {
	if testing.Short() {
		t.Skip("needs minutes: boots machines; run without -short")
	}
	acttest.Act(t)
	bot, err := binary()
	require.NoError(t, err)
	dir := sampleRepository(t, bot)
	p := open(t, dir, "stale-patch", "")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	res := acttest.Run{
		Dir: dir, Repository: "o/r", Workflow: "compat.yml", Event: "pull_request", Payload: p.event("synchronize"), Bot: bot,
		Env: map[string]string{"ASTERBOT_CACHE": cache(t), "ASTERBOT_TRUST": "all"},
	}.Start(ctx, t)
	t.Log(res.Log())
	assert.False(t, res.OK)
}
