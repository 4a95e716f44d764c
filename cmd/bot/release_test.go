package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/github"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// toRelease is a repository with a version, a report of its commit, and an image
// that was built twice.
type toRelease struct {
	dir, report, images, commit string
	gh                          *githubtest.Server
	repo                        *githubtest.Repo
	token                       string
}

func newRelease(t *testing.T, version string, now checks.Status) *toRelease {
	t.Helper()
	r := &toRelease{dir: t.TempDir(), images: t.TempDir(), report: filepath.Join(t.TempDir(), "report.json")}
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "VERSION"), []byte(version+"\n"), 0o644))
	git("add", "-A")
	git("commit", "-qm", "Release "+version)
	r.commit = git("rev-parse", "HEAD")

	require.NoError(t, os.MkdirAll(filepath.Join(r.images, "iso"), 0o755))
	image := []byte("an image of " + version)
	require.NoError(t, os.WriteFile(filepath.Join(r.images, "iso", "sample-"+version+".iso"), image, 0o644))
	sum := exec.Command("sha256sum")
	sum.Stdin = bytes.NewReader(image)
	again, err := sum.Output()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.images, "iso.again"), again[:64], 0o644))

	rep := &checks.Report{Schema: checks.SchemaReport, Change: distro.Change{Base: r.commit, Head: r.commit, Merged: r.commit, Files: []string{}}}
	add := func(kind checks.Kind, of distro.Kind, subject, name string, s checks.Status) {
		c := checks.Result{Case: checks.Case{Kind: kind, Of: of, Subject: subject, Name: name}, Was: s, Now: s, Attempts: 1, Stage: "test", Verdict: checks.Passing}
		if s == checks.Pass {
			c.Passes = 1
		} else {
			c.Verdict, c.Reason = checks.StillFailing, "it said no"
		}
		rep.Cases = append(rep.Cases, c)
	}
	for _, k := range []struct {
		kind checks.Kind
		name string
	}{{checks.KindBuild, "builds"}, {checks.KindInstall, "installs"}, {checks.KindBoot, "boots"}} {
		add(k.kind, distro.KindImage, "iso", k.name, checks.Pass)
	}
	add(checks.KindTest, distro.KindSuite, "text", "sed replaces", now)
	rep.Counts, rep.Conclusion = checks.Count(rep.Cases), checks.Conclude(rep.Cases)
	rep.Headline = report.Headline(rep)
	f, err := os.Create(r.report)
	require.NoError(t, err)
	require.NoError(t, report.Encode(f, rep))
	require.NoError(t, f.Close())
	return r
}

func (r *toRelease) on(t *testing.T, gh *githubtest.Server, repo *githubtest.Repo) *toRelease {
	r.gh, r.repo = gh, repo
	repo.Import("main", r.commit, nil)
	r.token = gh.ActionsToken(repo, map[string]string{"contents": "write"})
	return r
}

func (r *toRelease) run(t *testing.T, command string, more ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	args := append([]string{"release", command, "--repo", r.dir, "--report", r.report, "--images", r.images, "--repository", "o/r", "--api-url", r.gh.URL}, more...)
	if command == "publish" {
		args = append(args, "--assets", filepath.Join(t.TempDir(), "assets"))
	}
	e := &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: r.dir, Getenv: func(k string) string { return map[string]string{"ASTERBOT_TOKEN": r.token}[k] }}
	return run(context.Background(), e, args), out.String()
}

func TestReleasesFollowEachOther(t *testing.T) {
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")

	first := newRelease(t, "1.0.0", checks.Pass).on(t, gh, repo)
	code, out := first.run(t, "publish")
	require.Zero(t, code, out)
	require.Len(t, repo.Releases(), 1)
	names := map[string]bool{}
	for _, a := range repo.Releases()[0].Assets {
		names[a.Name] = true
	}
	assert.Equal(t, map[string]bool{"sample-1.0.0.iso": true, "report.json": true, "SHA256SUMS": true}, names)
	assert.Equal(t, first.commit, repo.Tags()["v1.0.0"])

	t.Run("a regression since the last one stops the next", func(t *testing.T) {
		r := newRelease(t, "1.1.0", checks.Fail).on(t, gh, repo)
		code, out := r.run(t, "publish")
		assert.Equal(t, 1, code)
		assert.Contains(t, out, "test/text/sed replaces: it said no")
		assert.Len(t, repo.Releases(), 1)
		assert.Empty(t, repo.Tags()["v1.1.0"], "no tag")
	})
	t.Run("the same version again is stopped", func(t *testing.T) {
		r := newRelease(t, "0.9.0", checks.Pass).on(t, gh, repo)
		code, out := r.run(t, "check", "--tag", "v1.0.0")
		assert.Equal(t, 1, code)
		assert.Contains(t, out, "the tag is v1.0.0, but the version file says 0.9.0")
	})
	t.Run("a broken GitHub is said, and the same command ends it", func(t *testing.T) {
		r := newRelease(t, "1.2.0", checks.Pass).on(t, gh, repo)
		gh.Inject(func(q *http.Request) *githubtest.Fault {
			if strings.HasSuffix(q.URL.Path, "/git/refs") {
				return &githubtest.Fault{Status: http.StatusForbidden}
			}
			return nil
		})
		code, out := r.run(t, "publish")
		assert.Equal(t, 3, code, out)
		assert.Contains(t, out, "run it again")
		assert.True(t, repo.Releases()[1].Draft, "nobody sees it yet")
		gh.Inject(nil)
		code, out = r.run(t, "publish")
		require.Zero(t, code, out)
		assert.False(t, repo.Releases()[1].Draft)
	})
}

// On an ordinary pull request there is neither a report nor an image: the step says
// what would stop a release today, in its summary and as annotations.
func TestReleaseCheckInAnOrdinaryRun(t *testing.T) {
	r := newRelease(t, "soon", checks.Pass)
	summary := filepath.Join(t.TempDir(), "summary")
	var out bytes.Buffer
	e := &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: t.TempDir(), Getenv: func(k string) string {
		return map[string]string{"ASTERBOT_RELEASE": "check", "ASTERBOT_PATH": r.dir, "ASTERBOT_OUT": "asterbot/report", "ASTERBOT_ASSETS": "asterbot/assets", "GITHUB_STEP_SUMMARY": summary}[k]
	}}
	assert.Equal(t, 1, run(t.Context(), e, []string{"action", "release"}))
	text, err := os.ReadFile(summary)
	require.NoError(t, err)
	assert.Contains(t, string(text), "no version of the form")
	assert.Contains(t, string(text), "there is no report of this commit")
	assert.Contains(t, out.String(), "::error title=release%3A version::")
}

// What maintainers let pass on pull requests is told in the notes.
func TestWaiversOfPullRequestsReachTheNotes(t *testing.T) {
	gh := githubtest.New(t, githubtest.Options{Permissions: github.Permissions})
	repo := gh.AddRepo("o", "r")
	r := newRelease(t, "1.0.0", checks.Pass).on(t, gh, repo)
	code, out := r.run(t, "publish")
	require.Zero(t, code, out)
	in := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	in("tag", "v1.0.0")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "VERSION"), []byte("1.1.0\n"), 0o644))
	in("commit", "-qam", "Lua 5.5 (#1)")
	commit := in("rev-parse", "HEAD")
	repo.Import("main", commit, nil)

	a, err := github.NewApp(github.AppOptions{ID: gh.AppID(), Key: gh.PrivateKey(), Options: github.Options{BaseURL: gh.URL}})
	require.NoError(t, err)
	show := func(p *githubtest.Pull, w checkrun.Waiver) {
		pub := &checkrun.Publisher{Client: a.Installation(gh.Install("o").ID), Owner: "o", Repo: "r"}
		_, err := pub.Publish(t.Context(), p.Head(), []checkrun.Run{{Name: checkrun.Verdict, ID: checkrun.ID{Run: 1, Attempt: 1}, Status: "completed", Conclusion: "success", Title: "x", Summary: "x", Text: checkrun.WaiverText([]checkrun.Waiver{w})}}, nil)
		require.NoError(t, err)
	}
	p, _ := repo.OpenPull(githubtest.NewPull{})
	show(p, checkrun.Waiver{Case: "text/sed replaces", Reason: "the mirror <b>is</b> down", By: "ann", SHA: p.Head()})
	p.Land(commit)
	open, _ := repo.OpenPull(githubtest.NewPull{})
	show(open, checkrun.Waiver{Case: "text/sed replaces", Reason: "not merged", By: "ann", SHA: open.Head()})

	notes := filepath.Join(t.TempDir(), "notes.md")
	r.token = gh.ActionsToken(repo, map[string]string{"contents": "read", "checks": "read", "pull_requests": "read"})
	_, out = r.run(t, "check", "--notes", notes)
	text, err := os.ReadFile(notes)
	require.NoError(t, err, out)
	assert.Contains(t, string(text), "## Waived when pull requests were merged\n\n- `text/sed replaces` in #1: the mirror")
	assert.Contains(t, string(text), "allowed by ann")
	assert.NotContains(t, string(text), "<b>")
	assert.NotContains(t, string(text), "not merged")

	t.Run("a token that may not read them says so", func(t *testing.T) {
		r.token = gh.ActionsToken(repo, map[string]string{"contents": "read"})
		_, out := r.run(t, "check", "--notes", notes)
		assert.Contains(t, out, "waivers of pull requests are not known: the token lacks pull-requests: read")
	})
}
