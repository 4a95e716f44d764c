//go:build soak

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/githubtest"
)

const releaser = `name: release
on:
  push:
    branches: [main]
    paths: [VERSION]
    tags: ["v*"]
jobs:
  release:
    uses: ./.github/workflows/release.yml
    permissions:
      contents: write
      id-token: write
      attestations: write
`

// TestAReleaseFromAChangeOfTheVersion builds and boots everything, twice where it
// is an image: some five minutes.
func TestAReleaseFromAChangeOfTheVersion(t *testing.T) {
	_, bot := workflowTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	dir := sampleRepository(t, bot)
	write(t, dir, ".github/workflows/caller.yml", releaser)
	// act looks for "./" of a called workflow in the caller's tree.
	for _, name := range []string{"release.yml", "compat.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", name))
		require.NoError(t, err)
		write(t, dir, ".github/workflows/"+name, string(text))
	}
	write(t, dir, "VERSION", "1.0.0\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Release 1.0.0")
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	shared := cache(t)
	push := func() (string, *acttest.Result) {
		sha := git(t, dir, "rev-parse", "HEAD")
		repo.Import("main", sha, nil)
		return sha, acttest.Run{
			Dir: dir, Repository: "o/r", Workflow: "caller.yml", Event: "push", Bot: bot, API: gh.URL, Token: gh.ActionsToken(repo, map[string]string{"contents": "write"}),
			Env: map[string]string{"ASTERBOT_CACHE": shared},
			Payload: map[string]any{
				"ref": "refs/heads/main", "before": git(t, dir, "rev-parse", "HEAD^"), "after": sha, "repository": map[string]any{"full_name": "o/r", "default_branch": "main"},
				"sender": map[string]any{"login": "ann", "id": 7, "type": "User"},
			},
		}.Start(ctx, t)
	}
	_, res := push()
	assert.False(t, res.OK, "the sample has cases that fail, and there is no release before it that had them too")
	assert.Empty(t, repo.Releases())
	var waivers strings.Builder
	for _, a := range res.Acted("error") {
		if name, _, ok := strings.Cut(a.Arg, ": "); ok && a.Props["title"] == "release: case" {
			fmt.Fprintf(&waivers, "- case: %q\n  version: 1.0.0\n  reason: it is a sample\n  tracker: https://example.org/1\n  by: ann\n", name)
		}
	}
	require.NotEmpty(t, waivers.String(), "the gate names them")

	write(t, dir, ".github/asterbot-waivers.yml", waivers.String())
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Waive what a sample may have")
	sha, res := push()
	require.True(t, res.OK)
	require.Len(t, repo.Releases(), 1)
	r := repo.Releases()[0]
	assert.False(t, r.Draft)
	assert.Equal(t, "v1.0.0", r.Tag)
	assert.Len(t, r.Assets, 3)
	assert.Contains(t, r.Body, "it is a sample")
	assert.Equal(t, sha, repo.Tags()["v1.0.0"])
}

func TestAFailureFromARunIsRunAgainHere(t *testing.T) {
	ctx, bot := workflowTest(t)
	p := open(t, sampleRepository(t, bot), "kernel-parameter", "")
	res := p.run(t, bot).Start(ctx, t)
	kept, err := filepath.Glob(filepath.Join(res.Artifacts, "asterbot-repro-*-1"))
	require.NoError(t, err)
	require.NotEmpty(t, kept, "the shard with the failure kept it")

	var failed *checks.Result
	for _, c := range theReport(t, res).Cases {
		if c.Verdict == checks.Regressed && c.Kind == checks.KindTest {
			failed = &c
			break
		}
	}
	require.NotNil(t, failed)
	assert.Contains(t, strings.Join(failed.Repro, "\n"), "bot repro --repository o/r ")
	name := "test/" + failed.Subject + "/" + failed.Name
	// From GitHub, as a kernel developer fetches it: without Nix, by one command.
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	pr, _ := repo.OpenPull(githubtest.NewPull{})
	r, _ := repo.StartRun(githubtest.NewRun{Path: ".github/workflows/compat.yml", Event: "pull_request", HeadSHA: pr.Head(), HeadRepo: repo, Actor: "ann", Status: "in_progress"})
	r.Finish("failure", uploaded(t, res, "asterbot-repro-", "asterbot-report-"))
	out := t.TempDir()
	cmd := exec.CommandContext(ctx, bot, "repro", "--repository", "o/r", "--api-url", gh.URL, "--out", out, fmt.Sprint(r.Get().ID), name)
	cmd.Env = append(os.Environ(), "GITHUB_TOKEN="+gh.UserToken("ann"))
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", said)
	assert.Equal(t, 1, exit.ExitCode(), "it fails here too: %s", said)
	assert.FileExists(t, filepath.Join(out, "results.json"))
}
