package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/githubtest"
)

// asterbot's own releases: assets, notes out of the changelog, the tag of the major
// version moved last, and the same end after a failure at any call.
func TestReleaseUpload(t *testing.T) {
	const changelog = "# Changes\n\n## 1.3.0\n\n- better\n\n## 1.2.0\n\n- good\n"
	dist := t.TempDir()
	for name, text := range map[string]string{"bot-linux-amd64": "a binary", "SHA256SUMS": fmt.Sprintf("%x  bot-linux-amd64\n%x  CHANGELOG.md\n", sha256.Sum256([]byte("a binary")), sha256.Sum256([]byte(changelog))), "CHANGELOG.md": changelog} {
		require.NoError(t, os.WriteFile(filepath.Join(dist, name), []byte(text), 0o644))
	}
	upload := func(gh *githubtest.Server, repo *githubtest.Repo, tag, commit string) (int, string) {
		var out bytes.Buffer
		token := gh.ActionsToken(repo, map[string]string{"contents": "write"})
		e := &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: dist, Getenv: func(k string) string { return map[string]string{"GITHUB_TOKEN": token}[k] }}
		code := run(t.Context(), e, []string{"release", "upload", "--repository", "o/r", "--api-url", gh.URL, "--tag", tag, "--commit", commit, "--assets", dist, "--move-major"})
		return code, out.String()
	}
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	one, _ := repo.Commit("main", map[string]string{"a": "1"})
	code, said := upload(gh, repo, "v1.2.0", one)
	require.Zero(t, code, said)
	assert.Equal(t, map[string]string{"v1.2.0": one, "v1": one}, repo.Tags())
	two, _ := repo.Commit("main", map[string]string{"a": "2"})
	code, said = upload(gh, repo, "v1.3.0", two)
	require.Zero(t, code, said)
	assert.Equal(t, map[string]string{"v1.2.0": one, "v1.3.0": two, "v1": two}, repo.Tags(), "uses: ...@v1 is the newest of its kind")
	assert.Contains(t, repo.Releases()[1].Body, "- better")
	assert.NotContains(t, repo.Releases()[1].Body, "- good")
	three, _ := repo.Commit("main", map[string]string{"a": "3"})
	code, said = upload(gh, repo, "v1.4.0-rc.1", three)
	require.Zero(t, code, said)
	assert.Equal(t, two, repo.Tags()["v1"], "a release candidate moves nothing")

	for fail := 1; ; fail++ {
		gh := githubtest.New(t, githubtest.Options{})
		repo := gh.AddRepo("o", "r")
		commit, _ := repo.Commit("main", map[string]string{"a": "1"})
		n := 0
		gh.Inject(func(*http.Request) *githubtest.Fault {
			if n++; n == fail {
				return &githubtest.Fault{Status: http.StatusForbidden, After: true}
			}
			return nil
		})
		code, _ := upload(gh, repo, "v1.2.0", commit)
		if n < fail {
			assert.Greater(t, fail, 6, "each call failed once")
			return
		}
		gh.Inject(nil)
		if code != 0 {
			code, said = upload(gh, repo, "v1.2.0", commit)
		}
		require.Zero(t, code, said)
		assert.Len(t, repo.Releases(), 1)
		assert.Len(t, repo.Releases()[0].Assets, 3)
		assert.Equal(t, map[string]string{"v1.2.0": commit, "v1": commit}, repo.Tags())
	}
}
