//go:build soak

package main_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	sha := git(t, dir, "rev-parse", "HEAD")
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	repo.Import("main", sha, nil)
	run := acttest.Run{
		Dir: dir, Repository: "o/r", Workflow: "caller.yml", Event: "push", Bot: bot, API: gh.URL, Token: gh.ActionsToken(repo, map[string]string{"contents": "write"}),
		Env: map[string]string{"ASTERBOT_CACHE": cache(t)},
		Payload: map[string]any{
			"ref": "refs/heads/main", "before": git(t, dir, "rev-parse", "HEAD^"), "after": sha, "repository": map[string]any{"full_name": "o/r", "default_branch": "main"},
			"sender": map[string]any{"login": "ann", "id": 7, "type": "User"},
		},
	}
	res := run.Start(ctx, t)
	require.True(t, res.OK)
	require.Len(t, repo.Releases(), 1)
	r := repo.Releases()[0]
	assert.False(t, r.Draft)
	assert.Equal(t, "v1.0.0", r.Tag)
	assert.Len(t, r.Assets, 3)
	assert.Equal(t, sha, repo.Tags()["v1.0.0"])
}
