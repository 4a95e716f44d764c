package github_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	gh "github.com/google/go-github/v66/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

func world(t *testing.T, opt githubtest.Options) (*githubtest.Server, *githubtest.Repo, *githubtest.Installation, *github.App) {
	t.Helper()
	if opt.Permissions == nil {
		opt.Permissions = github.Permissions
	}
	s := githubtest.New(t, opt)
	r := s.AddRepo("asterinas", "asterinas")
	app, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL}})
	require.NoError(t, err)
	return s, r, s.Install("asterinas"), app
}

func TestInstallationReads(t *testing.T) {
	s, r, inst, app := world(t, githubtest.Options{})
	p, _ := r.OpenPull(githubtest.NewPull{Files: map[string]string{"kernel/a.rs": "x"}})
	got, _, err := app.Installation(inst.ID).PullRequests.Get(t.Context(), "asterinas", "asterinas", p.Number)
	require.NoError(t, err)
	assert.Equal(t, p.HeadSHA, got.GetHead().GetSHA())

	t.Run("what has not changed is not sent again", func(t *testing.T) {
		s.Calls()
		got, _, err := app.Installation(inst.ID).PullRequests.Get(t.Context(), "asterinas", "asterinas", p.Number)
		require.NoError(t, err)
		assert.Equal(t, p.HeadSHA, got.GetHead().GetSHA())
		calls := s.Calls()
		require.Len(t, calls, 1)
		assert.Equal(t, http.StatusNotModified, calls[0].Status)
	})
	t.Run("a token that was revoked is replaced, once", func(t *testing.T) {
		s.ExpireTokens()
		_, _, err := app.Installation(inst.ID).PullRequests.Get(t.Context(), "asterinas", "asterinas", p.Number)
		require.NoError(t, err)
	})
	t.Run("an installation that is suspended says so", func(t *testing.T) {
		s.Suspend(inst, true)
		s.ExpireTokens()
		_, _, err := app.Installation(inst.ID).PullRequests.Get(t.Context(), "asterinas", "asterinas", p.Number)
		require.ErrorIs(t, err, github.ErrNoInstallation)
		s.Suspend(inst, false)
	})
	t.Run("what the App may not do is refused", func(t *testing.T) {
		_, _, err := app.Installation(inst.ID).Git.CreateRef(t.Context(), "asterinas", "asterinas", &gh.Reference{Ref: gh.String("refs/tags/v1"), Object: &gh.GitObject{SHA: gh.String(p.HeadSHA)}})
		assert.Equal(t, http.StatusForbidden, github.Status(err))
		_, limited := github.Limited(err)
		assert.False(t, limited, "a refusal is not a rate limit")
	})
}

func TestClockThatIsOff(t *testing.T) {
	for name, skew := range map[string]time.Duration{"two minutes behind": 2 * time.Minute, "two minutes ahead": -2 * time.Minute, "an hour ahead": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			_, r, inst, app := world(t, githubtest.Options{Skew: skew})
			_, _, err := app.Installation(inst.ID).Repositories.Get(t.Context(), r.Owner, r.Name)
			require.NoError(t, err)
			slug, _, err := app.Verify(t.Context())
			require.NoError(t, err)
			assert.Equal(t, githubtest.Slug, slug)
		})
	}
}

func TestReadsAreRepeatedAndWritesAreNot(t *testing.T) {
	s, r, inst, app := world(t, githubtest.Options{})
	p, _ := r.OpenPull(githubtest.NewPull{})
	c := app.Installation(inst.ID)
	var n atomic.Int32
	for name, f := range map[string]githubtest.Fault{"502": {Status: 502}, "reset": {Reset: true}} {
		t.Run(name, func(t *testing.T) {
			n.Store(0)
			s.Inject(func(r *http.Request) *githubtest.Fault {
				if n.Add(1) <= 2 {
					return &f
				}
				return nil
			})
			_, _, err := c.PullRequests.Get(t.Context(), r.Owner, r.Name, p.Number)
			require.NoError(t, err)
			n.Store(0)
			f.After = true
			_, _, err = c.Issues.CreateComment(t.Context(), r.Owner, r.Name, p.Number, &gh.IssueComment{Body: gh.String(name)})
			require.Error(t, err)
			s.Inject(nil)
		})
	}
	assert.Len(t, p.Comments(), 2, "each write took effect once, though its answer was lost")
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  githubtest.Fault
		atMost time.Duration
		least  time.Duration
	}{
		{"429 with Retry-After", githubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, 8 * time.Second, 6 * time.Second},
		{"429 without headers", githubtest.Fault{Status: 429}, 61 * time.Second, 59 * time.Second},
		{"403 that speaks of a secondary limit", githubtest.Fault{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit"}`}, 61 * time.Second, 59 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, r, inst, app := world(t, githubtest.Options{})
			other := s.AddRepo("someone", "else")
			c := app.Installation(inst.ID)
			_, _, err := c.Repositories.Get(t.Context(), r.Owner, r.Name)
			require.NoError(t, err)
			s.Inject(func(*http.Request) *githubtest.Fault { return &tc.fault })
			_, _, err = c.Repositories.Get(t.Context(), r.Owner, r.Name)
			until, limited := github.Limited(err)
			require.True(t, limited, "%v", err)
			assert.Greater(t, time.Until(until), tc.least)
			assert.Less(t, time.Until(until), tc.atMost)
			s.Inject(nil)
			s.Calls()
			_, _, err = c.Repositories.Get(t.Context(), r.Owner, r.Name)
			require.Error(t, err)
			assert.Empty(t, s.Calls(), "nothing is sent while GitHub has asked to wait")
			_, _, err = app.Installation(s.Install("someone").ID).Repositories.Get(t.Context(), other.Owner, other.Name)
			assert.NoError(t, err, "other installations go on")
		})
	}
}

func TestExhaustedBudget(t *testing.T) {
	s, r, inst, app := world(t, githubtest.Options{})
	s.SetBudget(inst, 100, 1, time.Now().Add(90*time.Second))
	c := app.Installation(inst.ID)
	_, _, err := c.Repositories.Get(t.Context(), r.Owner, r.Name)
	require.NoError(t, err)
	_, _, err = c.Repositories.ListReleases(t.Context(), r.Owner, r.Name, nil)
	until, limited := github.Limited(err)
	require.True(t, limited, "%v", err)
	assert.InDelta(t, 90, time.Until(until).Seconds(), 5)
}

func TestWaitSleeps(t *testing.T) {
	s := githubtest.New(t, githubtest.Options{})
	r := s.AddRepo("asterinas", "asterinas")
	c, err := github.New(github.Options{BaseURL: s.URL, Token: s.UserToken("maintainer"), Wait: 5 * time.Second})
	require.NoError(t, err)
	var n atomic.Int32
	s.Inject(func(*http.Request) *githubtest.Fault {
		if n.Add(1) == 1 {
			return &githubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "0"}}
		}
		return nil
	})
	_, _, err = c.Repositories.Get(t.Context(), r.Owner, r.Name)
	require.NoError(t, err)
}

func TestSecondaryLimitOnWritesIsKeptBeforehand(t *testing.T) {
	s, r, inst, _ := world(t, githubtest.Options{})
	app, err := github.NewApp(github.AppOptions{ID: s.AppID(), Key: s.PrivateKey(), Options: github.Options{BaseURL: s.URL, WritesPerMinute: 2}})
	require.NoError(t, err)
	p, _ := r.OpenPull(githubtest.NewPull{})
	write := func() error {
		_, _, err := app.Installation(inst.ID).Issues.CreateComment(t.Context(), r.Owner, r.Name, p.Number, &gh.IssueComment{Body: gh.String("x")})
		return err
	}
	require.NoError(t, write())
	require.NoError(t, write())
	_, limited := github.Limited(write())
	assert.True(t, limited)
}

func TestDispatchReturnsTheRun(t *testing.T) {
	_, r, inst, app := world(t, githubtest.Options{})
	r.Commit("main", map[string]string{".github/workflows/rebuild.yml": "on:\n  workflow_dispatch:\n    inputs:\n      token: {required: true}\n"})
	id, err := app.Installation(inst.ID).Dispatch(context.Background(), r.Owner, r.Name, "rebuild.yml", "main", map[string]string{"token": "t"})
	require.NoError(t, err)
	runs := r.Runs()
	require.Len(t, runs, 1)
	assert.Equal(t, runs[0].ID, id)
}

// A machine whose clock is hours off keeps its tokens, and waits as long as
// GitHub means.
func TestAClockThatIsHoursOff(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			s, r, inst, app := world(t, githubtest.Options{Skew: skew})
			c := app.Installation(inst.ID)
			for range 5 {
				_, _, err := c.Repositories.Get(t.Context(), r.Owner, r.Name)
				require.NoError(t, err)
			}
			tokens := 0
			for _, call := range s.Calls() {
				if call.Operation == "apps/create-installation-access-token" && call.Status == http.StatusCreated {
					tokens++
				}
			}
			assert.Equal(t, 1, tokens)
			s.SetBudget(inst, 100, 1, time.Now().Add(skew+90*time.Second))
			_, _, err := c.Repositories.ListReleases(t.Context(), r.Owner, r.Name, nil)
			require.NoError(t, err)
			_, _, err = c.Repositories.ListTags(t.Context(), r.Owner, r.Name, nil)
			until, limited := github.Limited(err)
			require.True(t, limited, "%v", err)
			assert.InDelta(t, 90, time.Until(until).Seconds(), 5)
		})
	}
}
