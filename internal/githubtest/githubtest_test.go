package githubtest_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"testing"

	gh "github.com/google/go-github/v66/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func TestWhatTheDescriptionForbidsIsSeen(t *testing.T) {
	s, err := githubtest.Start(githubtest.Options{})
	require.NoError(t, err)
	defer s.Close()
	s.AddRepo("a", "b")
	for _, body := range []string{`{"name": 1}`, `{"head_sha": "x"}`} {
		r, err := http.NewRequest(http.MethodPost, s.URL+"/repos/a/b/check-runs", bytes.NewBufferString(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	}
	assert.Len(t, s.Violations(), 2)
}

func TestTokensReachWhatTheyMay(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("a", "b")
	p, _ := r.OpenPull(githubtest.NewPull{})
	client := func(token string) *github.Client {
		c, err := github.New(github.Options{BaseURL: s.URL, Token: token})
		require.NoError(t, err)
		return c
	}
	run := github.CheckRunUpdate{Name: "x", HeadSHA: p.Head(), Actions: []*gh.CheckRunAction{}}
	for _, tc := range []struct {
		name  string
		token string
		want  int
	}{
		{"a person cannot make check runs", s.UserToken("owner"), 403},
		{"a workflow that may only read cannot", s.ActionsToken(r, map[string]string{"contents": "read"}), 403},
		{"a workflow that may write checks can", s.ActionsToken(r, map[string]string{"checks": "write"}), 0},
		{"nonsense cannot", "ghp_nonsense", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client(tc.token).CreateCheckRun(t.Context(), "a", "b", run)
			assert.Equal(t, tc.want, github.Status(err), "%v", err)
		})
	}
}

func TestReleases(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("a", "b")
	c, err := github.New(github.Options{BaseURL: s.URL, Token: s.ActionsToken(r, map[string]string{"contents": "write"})})
	require.NoError(t, err)
	rel, _, err := c.Repositories.CreateRelease(t.Context(), "a", "b", &gh.RepositoryRelease{TagName: gh.String("v1"), Draft: gh.Bool(true)})
	require.NoError(t, err)
	_, resp, err := c.Repositories.GetReleaseByTag(t.Context(), "a", "b", "v1")
	require.Error(t, err)
	assert.Equal(t, http.StatusNotFound, resp.StatusCode, "drafts have no tag")
	f, err := os.CreateTemp(t.TempDir(), "x")
	require.NoError(t, err)
	_, err = f.WriteString("data")
	require.NoError(t, err)
	_, err = f.Seek(0, 0)
	require.NoError(t, err)
	_, _, err = c.Repositories.UploadReleaseAsset(t.Context(), "a", "b", rel.GetID(), &gh.UploadOptions{Name: "sums.txt"}, f)
	require.NoError(t, err)
	_, _, err = c.Repositories.EditRelease(t.Context(), "a", "b", rel.GetID(), &gh.RepositoryRelease{Draft: gh.Bool(false)})
	require.NoError(t, err)
	assert.Equal(t, r.Tip("main"), r.Tags()["v1"])
	assert.Equal(t, []byte("data"), r.Releases()[0].Assets[0].Data)
}

func TestPages(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("a", "b")
	for range 130 {
		r.OpenPull(githubtest.NewPull{})
	}
	c, err := github.New(github.Options{BaseURL: s.URL, Token: s.UserToken("owner")})
	require.NoError(t, err)
	pulls, err := github.All(t.Context(), func(ctx context.Context, o gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
		return c.PullRequests.List(ctx, "a", "b", &gh.PullRequestListOptions{ListOptions: o})
	})
	require.NoError(t, err)
	assert.Len(t, pulls, 130)
	assert.Len(t, s.Calls(), 2)
}
