package main_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/githubtest"
)

// releaseJob is one job of release.yml as a workflow of its own, given what the
// others leave; 'make soak' runs all of them, for real.
func releaseJob(t *testing.T, name string, outputs map[string]string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", "release.yml"))
	require.NoError(t, err)
	text := string(data)
	head, jobs, ok := strings.Cut(text, "\njobs:\n")
	require.True(t, ok)
	starts := regexp.MustCompile(`(?m)^  ([a-z]+):\n`).FindAllStringSubmatchIndex(jobs, -1)
	for i, m := range starts {
		if jobs[m[2]:m[3]] != name {
			continue
		}
		end := len(jobs)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		job := regexp.MustCompile(`(?m)^    (needs|if): .*\n`).ReplaceAllString(jobs[m[0]:end], "")
		for from, to := range outputs {
			job = strings.ReplaceAll(job, from, to)
		}
		return strings.Replace(head, "on:\n", "on:\n  push:\n", 1) + "\njobs:\n" + job
	}
	t.Fatalf("release.yml has no job %s", name)
	return ""
}

func TestAWorkflowRunReleases(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := filepath.Join(t.TempDir(), "repository")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, ".github/asterbot.yml", "entry: entry.nix\nrelease: {scheme: calver, kernel-version-file: KERNEL}\n")
	write(t, dir, "VERSION", "next\n")
	write(t, dir, "KERNEL", "0.17.2\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "A distribution")
	git(t, dir, "remote", "add", "origin", "https://github.com/o/r")
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	artifacts := t.TempDir()
	run := func(job string, outputs map[string]string) *acttest.Result {
		sha := git(t, dir, "rev-parse", "HEAD")
		repo.Import("main", sha, nil)
		write(t, dir, ".github/workflows/job.yml", releaseJob(t, job, outputs))
		return acttest.Run{
			Dir: dir, Repository: "o/r", Workflow: "job.yml", Event: "push", Bot: bot, API: gh.URL, Token: gh.ActionsToken(repo, map[string]string{"contents": "write"}), Artifacts: artifacts,
			Payload: map[string]any{
				"ref": "refs/heads/main", "before": strings.Repeat("0", 40), "after": sha, "repository": map[string]any{"full_name": "o/r", "default_branch": "main"},
				"sender": map[string]any{"login": "ann", "id": 7, "type": "User"},
			},
		}.Start(ctx, t)
	}
	titles := func(res *acttest.Result) string {
		var all []string
		for _, l := range res.Acted("error") {
			all = append(all, l.Props["title"]+": "+l.Arg)
		}
		return strings.Join(all, "\n")
	}
	res := run("state", nil)
	assert.False(t, res.OK, "stopped in seconds, before anything is built")
	assert.Contains(t, titles(res), "release: version")

	write(t, dir, "VERSION", "26.11\n")
	git(t, dir, "add", "VERSION")
	git(t, dir, "commit", "-qm", "26.11")
	require.True(t, run("state", nil).OK)

	// What the check and the build of the images would have left.
	sha := git(t, dir, "rev-parse", "HEAD")
	leave := func(boots checks.Status) map[string]string {
		rep := &checks.Report{Change: distro.Change{Base: sha, Head: sha, Merged: sha, Files: []string{}}}
		for _, c := range []struct {
			kind checks.Kind
			name string
			now  checks.Status
		}{{checks.KindBuild, "builds", checks.Pass}, {checks.KindInstall, "installs", checks.Pass}, {checks.KindBoot, "boots", boots}} {
			r := checks.Result{Case: checks.Case{Kind: c.kind, Of: distro.KindImage, Subject: "iso", Name: c.name}, Was: checks.Pass, Now: c.now, Attempts: 1, Passes: 1, Verdict: checks.Passing, Stage: string(c.kind)}
			if c.now != checks.Pass {
				r.Passes, r.Verdict, r.Reason = 0, checks.Regressed, "the installed disk shows nothing"
			}
			rep.Cases = append(rep.Cases, r)
		}
		rep.Counts, rep.Conclusion = checks.Count(rep.Cases), checks.Conclude(rep.Cases)
		var doc bytes.Buffer
		require.NoError(t, report.Encode(&doc, rep))
		image := "an image"
		write(t, artifacts, "asterbot-report-1/report.json", doc.String())
		write(t, artifacts, "asterbot-images-1/iso/asternixos-26.11.iso", image)
		write(t, artifacts, "asterbot-images-1/iso.again", fmt.Sprintf("%x\n", sha256.Sum256([]byte(image))))
		id := func(name string) string {
			info, err := os.Stat(filepath.Join(artifacts, name))
			require.NoError(t, err)
			return fmt.Sprintf("'%d'", info.Sys().(*syscall.Stat_t).Ino)
		}
		return map[string]string{"needs.compat.outputs.report-id": id("asterbot-report-1"), "needs.images.outputs.id": id("asterbot-images-1")}
	}
	res = run("publish", leave(checks.Fail))
	assert.False(t, res.OK)
	assert.Contains(t, titles(res), "image iso was not booted from the installed disk")
	assert.Empty(t, repo.Releases(), "the gate is closed")

	gh.Inject(func(q *http.Request) *githubtest.Fault {
		if strings.HasSuffix(q.URL.Path, "/git/refs") {
			return &githubtest.Fault{Status: http.StatusForbidden}
		}
		return nil
	})
	res = run("publish", leave(checks.Pass))
	assert.False(t, res.OK)
	require.Len(t, repo.Releases(), 1)
	assert.True(t, repo.Releases()[0].Draft, "broken off before the tag: nobody sees it")
	assert.Empty(t, repo.Tags())
	gh.Inject(nil)
	res = run("publish", leave(checks.Pass))
	require.True(t, res.OK, "run again, it ends in the same release")
	require.Len(t, repo.Releases(), 1)
	r := repo.Releases()[0]
	assert.False(t, r.Draft)
	assert.Equal(t, sha, repo.Tags()["v26.11"])
	assert.Len(t, r.Assets, 3)
	assert.Contains(t, r.Body, "0.17.2", "calver records the kernel's version")
	assert.Contains(t, res.Log(), "asternixos-26.11.iso", "what is attested")
}
