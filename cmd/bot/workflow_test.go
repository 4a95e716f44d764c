package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/checkrun"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/acttest"
	"github.com/asterinas/asterbot/internal/githubtest"
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

// publisher is the second half of it: act does not go on after a called workflow
// that failed, so that it is a workflow of its own here.
const publisher = `name: publish
on:
  pull_request:
jobs:
  publish:
    uses: asterinas/asterbot/.github/workflows/publish.yml@v1
    permissions:
      contents: read
      checks: write
    with:
      report-id: "REPORT"
`

// rebuild is the workflow that answers comments.
const rebuild = `name: commands
on:
  issue_comment:
    types: [created]
jobs:
  rebuild:
    uses: asterinas/asterbot/.github/workflows/rebuild.yml@v1
    permissions:
      actions: write
      checks: write
      contents: read
      issues: write
      pull-requests: write
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
	write(t, dir, ".github/workflows/rebuild.yml", rebuild)
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
		if e.Name() != "memo" && e.Name() != "sets" {
			require.NoError(t, os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	return dir
}

// a run of the sample's workflow for a pull request.
func (p pull) run(t *testing.T, bot string) acttest.Run {
	return acttest.Run{
		Dir: p.dir, Repository: p.repository, Workflow: "compat.yml", Event: "pull_request", Payload: p.event("synchronize"), Bot: bot,
		// This machine's Nix may be one that must not meet strangers' code; ours it may.
		Env: map[string]string{"ASTERBOT_CACHE": cache(t), "ASTERBOT_TRUST": "all"},
	}
}

// workflowTest is what all of them need.
func workflowTest(t *testing.T) (context.Context, string) {
	if testing.Short() {
		t.Skip("needs minutes: boots machines; run without -short")
	}
	acttest.Act(t)
	bot, err := binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	return ctx, bot
}

func artifact(t *testing.T, res *acttest.Result, name, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(res.Artifacts, name, file))
	require.NoError(t, err)
	return string(data)
}

func theReport(t *testing.T, res *acttest.Result) *checks.Report {
	t.Helper()
	r, err := report.DecodeReport(strings.NewReader(artifact(t, res, "asterbot-report-1", "report.json")))
	require.NoError(t, err)
	return r
}

func TestAWorkflowRunOfAPullRequest(t *testing.T) {
	ctx, bot := workflowTest(t)
	p := open(t, sampleRepository(t, bot), "stale-patch", "")
	res := p.run(t, bot).Start(ctx, t)

	assert.False(t, res.OK, "a regression makes the run red")
	r := theReport(t, res)
	assert.Equal(t, checks.Failure, r.Conclusion)
	assert.Equal(t, p.head, r.Change.Head)
	assert.Equal(t, p.base, r.Change.Base)
	var titles []string
	for _, a := range res.Acted("error") {
		titles = append(titles, a.Props["title"])
	}
	assert.Contains(t, titles, "sed no longer builds")
	assert.FileExists(t, filepath.Join(res.Artifacts, "asterbot-report-1", "report.html"))
	assert.Contains(t, res.Log(), "| ✗ | package `sed` |", "the job's summary has the table")
	first, answer := res.After("### What this change affects"), res.After("## ❌")
	t.Logf("from the event to what is affected: %s; to the first verdict: %s", first, answer)
	assert.True(t, first >= 0 && first <= answer, "what is known first is said first")
}

func TestAShardThatDiesLeavesItsCasesAsErrors(t *testing.T) {
	ctx, bot := workflowTest(t)
	p := open(t, sampleRepository(t, bot), "stale-patch", "")
	run := p.run(t, bot)
	// A bot that is killed while it settles the shard of packages.
	run.Bot = filepath.Join(t.TempDir(), "bot")
	require.NoError(t, os.WriteFile(run.Bot, []byte("#!/bin/sh\nif [ \"$ASTERBOT_COMMAND$ASTERBOT_SHARD\" = boot1 ]; then kill -9 $$; fi\nexec "+bot+" \"$@\"\n"), 0o755))
	res := run.Start(ctx, t)

	r := theReport(t, res)
	var lost int
	for _, c := range r.Cases {
		if strings.Contains(c.Reason, "no result came back") {
			lost++
			assert.Equal(t, checks.Error, c.Now)
		}
	}
	assert.NotZero(t, lost, "the cases of the shard that died are named")
	assert.False(t, res.OK)
}

// TestAHostilePullRequestGivesNoCommands is a fork's pull request that says all that the
// runner could act upon, wherever it has a say: in its kernel's build, a package's
// build, an evaluation, a guest, and in names of files, attributes, cases and
// branches.
func TestAHostilePullRequestGivesNoCommands(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := kernelRepository(t)
	git(t, dir, "checkout", "-q", "-b", "hostile", "main")
	words := []string{
		"::error file=README.md,line=1::hostile", "  ::warning::hostile", "##[error]hostile", "x ##[add-path]/hostile", "::add-mask::greeting", "::set-output name=conclusion::success",
		"::set-env name=PATH::/hostile", "::stop-commands::hostile", "::hostile::", "::group::hostile", "\x1b[2K\r::error::hostile", "::save-state name=a::hostile", "::debug::hostile",
		"conclusion<<end-0", "success", "end-0",
	}
	var say strings.Builder
	for _, w := range words {
		say.WriteString("printf '%b\\n' '" + strings.NewReplacer("\x1b", "\\033", "\r", "\\r").Replace(w) + "'\n")
	}
	write(t, dir, "src/build.sh", say.String()+"printf 'conclusion=success\\n' >>\"${GITHUB_OUTPUT:-/dev/null}\"\n"+textOf(t, dir, "src/build.sh"))
	for _, name := range []string{"src/::error::hostile", "src/##[error]hostile", "src/a\n::error::hostile", "src/$(touch hostile)`touch hostile`"} {
		write(t, dir, name, "x")
	}
	entry := textOf(t, dir, "distro/own.nix")
	entry = strings.Replace(entry, "inherit (pkgs) greeting; }", "inherit (pkgs) greeting;\n    noise = pkgs.runCommand \"noise-1\" { } ''\n"+say.String()+"exit 1\n'';\n"+
		"    \"##[error]hostile\" = throw \"\\n::error::hostile\\n##[error]hostile\";\n    \"::error::hostile\" = pkgs.greeting;\n  }", 1)
	entry = strings.Replace(entry, "cases = [", "cases = [ { name = \"::error::hostile ##[error]hostile\"; run = ''\n"+say.String()+"''; expect = \"never\"; }", 1)
	write(t, dir, "distro/own.nix", entry)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "::error::hostile title")
	p := open(t, dir, "hostile", "stranger/r")
	run := p.run(t, bot)
	event := p.event("synchronize")
	change := event["pull_request"].(map[string]any)
	change["title"], change["body"] = "::error::hostile\n##[error]hostile", "$(touch hostile)"
	change["head"].(map[string]any)["ref"] = "$(touch${IFS}hostile);::error::hostile"
	run.Payload = event
	res := run.Start(ctx, t)

	stops := 0
	for _, l := range res.Lines {
		switch l.Command {
		case "", "ignored":
		case "stop-commands":
			stops++
			assert.Regexp(t, "^[0-9a-f]{32}$", l.Arg)
		default:
			// Ours quote it: "its builder failed: ::error::hostile".
			assert.NotEqual(t, "hostile", strings.TrimSpace(l.Arg), "the runner acted upon %q", l.Raw)
			assert.NotEqual(t, "hostile", l.Command)
			assert.NotEqual(t, "add-mask", l.Command)
		}
		if l.RawOutput {
			assert.NotContains(t, l.Message, "##[", "the log's viewer would act upon it")
		}
	}
	assert.GreaterOrEqual(t, stops, 4, "the plan, the kernel, the shards and the report")
	r := theReport(t, res)
	assert.Equal(t, checks.Failure, r.Conclusion)
	assert.Equal(t, checks.Passing, caseOf(t, r, checks.KindBuild, "kernel").Verdict, "it was heard out")
	for _, c := range r.Cases {
		if c.Kind == checks.KindTest && strings.Contains(c.Name, "hostile") {
			assert.Contains(t, strings.Join(c.Tail, "\n"), "::set-env name=PATH::/hostile", "what the guest printed is there to be read")
		}
	}
	assert.Contains(t, strings.Join(caseOf(t, r, checks.KindBuild, "noise").Tail, "\n"), "hostile")
	for _, w := range []string{"hostile", "change/hostile", "asterbot/hostile"} {
		assert.NoFileExists(t, filepath.Join(dir, w))
	}
}

// onGitHub makes the pull request known to a GitHub, and the run use it.
func (p pull) onGitHub(t *testing.T, run *acttest.Run, permissions map[string]string) (*githubtest.Server, *githubtest.Repo, *githubtest.Pull) {
	t.Helper()
	gh := githubtest.New(t, githubtest.Options{})
	repo := gh.AddRepo("o", "r")
	from := repo
	if p.fork != "" {
		from = repo.Fork(strings.Split(p.fork, "/")[0])
	}
	files := map[string]string{}
	if out, err := exec.Command("git", "-C", p.dir, "show", p.base+":.github/asterbot.yml").Output(); err == nil {
		files[".github/asterbot.yml"] = string(out)
	}
	repo.Import("main", p.base, files)
	from.Import("branch", p.head, nil)
	pr, _ := repo.OpenPull(githubtest.NewPull{SHA: p.head, From: from, Author: "ann"})
	run.Token, run.API = gh.ActionsToken(repo, permissions), gh.URL
	run.Payload = p.numbered(pr.Number)
	return gh, repo, pr
}

func (p pull) numbered(n int) map[string]any {
	e := p.event("synchronize")
	e["number"] = n
	e["pull_request"].(map[string]any)["number"] = n
	return e
}

// publish runs the second half.
func publish(ctx context.Context, t *testing.T, run acttest.Run, first *acttest.Result) *acttest.Result {
	t.Helper()
	info, err := os.Stat(filepath.Join(first.Artifacts, "asterbot-report-1"))
	require.NoError(t, err)
	id := fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino) // the stand-in's number of an artifact
	write(t, run.Dir, ".github/workflows/publish.yml", strings.ReplaceAll(publisher, "REPORT", id))
	defer os.Remove(filepath.Join(run.Dir, ".github/workflows/publish.yml"))
	run.Workflow, run.Artifacts = "publish.yml", first.Artifacts
	return run.Start(ctx, t)
}

func TestCheckRunsAreWrittenWithTheWorkflowsToken(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := sampleRepository(t, bot)
	may := map[string]string{"checks": "write", "contents": "read", "pull_requests": "read"}

	t.Run("of a pull request", func(t *testing.T) {
		p := open(t, dir, "stale-patch", "")
		run := p.run(t, bot)
		_, repo, _ := p.onGitHub(t, &run, may)
		res := publish(ctx, t, run, run.Start(ctx, t))
		assert.True(t, res.OK, "publishing went well; the check runs are red")
		byName := map[string]githubtest.CheckRun{}
		for _, c := range repo.CheckRuns(p.head) {
			byName[c.Name] = c
		}
		assert.Equal(t, "failure", byName[checkrun.Verdict].Conclusion)
		assert.Equal(t, "failure", byName[checkrun.Build].Conclusion)
		assert.Equal(t, "success", byName[checkrun.Evaluate].Conclusion, "what changed was evaluated")
		require.NotEmpty(t, byName[checkrun.Build].Annotations)
		assert.Contains(t, byName[checkrun.Build].Annotations[0]["path"], "overlays/sed/")
	})
	t.Run("a head that was superseded gets nothing", func(t *testing.T) {
		p := open(t, dir, "documentation", "")
		run := p.run(t, bot)
		_, repo, pr := p.onGitHub(t, &run, may)
		first := run.Start(ctx, t)
		pr.Push(map[string]string{"a": "b"})
		assert.True(t, publish(ctx, t, run, first).OK)
		assert.Empty(t, repo.CheckRuns(p.head))
		assert.Empty(t, repo.CheckRuns(pr.HeadSHA))
	})
	t.Run("a fork's run writes nothing", func(t *testing.T) {
		p := open(t, dir, "documentation", "stranger/r")
		run := p.run(t, bot)
		gh, repo, _ := p.onGitHub(t, &run, map[string]string{"contents": "read"})
		first := run.Start(ctx, t)
		publish(ctx, t, run, first)
		assert.Empty(t, repo.CheckRuns(p.head))
		assert.Empty(t, gh.Calls(), "not even a question was asked")
		assert.FileExists(t, filepath.Join(first.Artifacts, "asterbot-report-1", "report.json"), "the App publishes it")
	})
}

func TestCommandsWithoutTheApp(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := sampleRepository(t, bot)
	for _, tc := range []struct {
		name, author, role, body string
		reruns                   int
		says, reactions          string
	}{
		{"a maintainer runs again what failed", "ann", "write", "Hm.\n\n/rebuild\n", 1, "", "eyes rocket"},
		{"an outsider is told who may", "eve", "read", "/rebuild", 0, "is for people who have the permission", "-1"},
		{"a command in a quotation is none", "ann", "write", "> /rebuild", 0, "", ""},
		{"help", "eve", "read", "/help", 0, "| `/rebuild all`", "eyes rocket"},
		{"a failure is explained, from the run's artifact", "eve", "read", "/explain sed", 0, "its builder failed", "eyes rocket"},
		{"what cannot be done is said", "eve", "read", "/explain vim", 0, "neither affected by this change nor", "eyes confused"},
		{"a maintainer waives a case", "ann", "maintain", "/waive sed/builds the patch is on its way", 0, "no longer stands in the way", "eyes rocket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := open(t, dir, "documentation", "")
			run := p.run(t, bot)
			_, repo, pr := p.onGitHub(t, &run, map[string]string{"actions": "write", "checks": "write", "contents": "read", "issues": "write", "pull_requests": "write"})
			repo.SetRole(tc.author, tc.role)
			r, _ := repo.StartRun(githubtest.NewRun{Path: ".github/workflows/compat.yml", Event: "pull_request", HeadSHA: p.head, HeadRepo: repo, Actor: "ann", Status: "in_progress"})
			r.Finish("failure", aFailure(t, p))
			_, d := pr.Comment(tc.author, tc.body)
			run.Event, run.Workflow, run.Payload = "issue_comment", "rebuild.yml", json.RawMessage(d.Payload)
			git(t, dir, "checkout", "-q", "main")
			res := run.Start(ctx, t)
			assert.True(t, res.OK)
			assert.Equal(t, tc.reruns, r.Get().Reruns)
			var answers []string
			for _, c := range pr.Comments() {
				if c.Author == "github-actions[bot]" {
					answers = append(answers, c.Body)
					continue
				}
				var reactions []string
				for _, r := range c.Reactions() {
					reactions = append(reactions, strings.TrimSuffix(r, " by github-actions[bot]"))
				}
				assert.Equal(t, tc.reactions, strings.Join(reactions, " "))
			}
			if strings.Contains(tc.body, "/waive") {
				runs := repo.CheckRuns(p.head)
				require.Len(t, runs, 5)
				for _, c := range runs {
					assert.NotEqual(t, "failure", c.Conclusion, c.Name)
				}
			}
			if tc.says == "" {
				assert.Empty(t, answers)
			} else {
				require.Len(t, answers, 1)
				assert.Contains(t, answers[0], tc.says)
			}
		})
	}
}

// aFailure are the artifacts of a run in which a package does not build.
func aFailure(t *testing.T, p pull) map[string][]byte {
	t.Helper()
	broken := checks.Result{Case: checks.Case{Kind: checks.KindBuild, Of: distro.KindPackage, Subject: "sed", Name: "builds"}, Was: checks.Pass, Now: checks.Fail, Verdict: checks.Regressed, Stage: "build", Reason: "its builder failed", Attempts: 1}
	plan := &checks.Plan{Change: distro.Change{Base: p.base, Head: p.head, Merged: p.merge, Files: []string{}}, Cases: []checks.PlannedCase{{Case: broken.Case, Why: "its patch changed"}}}
	rep := &checks.Report{Change: plan.Change, Cases: []checks.Result{broken}}
	rep.Counts, rep.Conclusion = checks.Count(rep.Cases), checks.Conclude(rep.Cases)
	dir := t.TempDir()
	for name, encode := range map[string]func(io.Writer) error{
		"plan/plan.json": func(w io.Writer) error { return report.Encode(w, plan) }, "report/report.json": func(w io.Writer) error { return report.Encode(w, rep) },
	} {
		var doc bytes.Buffer
		require.NoError(t, encode(&doc))
		write(t, dir, name, doc.String())
	}
	return map[string][]byte{"asterbot-plan-1": zipFolder(t, filepath.Join(dir, "plan")), "asterbot-report-1": zipFolder(t, filepath.Join(dir, "report"))}
}

// Where there is no pull request: a branch by hand, in one's own fork, and what a
// merge queue puts together. And a pull request whose title alone was edited has
// nothing to check.
func TestAWorkflowRunWithoutAPullRequest(t *testing.T) {
	ctx, bot := workflowTest(t)
	dir := sampleRepository(t, bot)
	write(t, dir, ".github/workflows/compat.yml", strings.Replace(caller, "  merge_group:\n", "  merge_group:\n  workflow_dispatch:\n", 1))
	git(t, dir, "commit", "-qam", "By hand, too")
	git(t, dir, "checkout", "-q", "-b", "mine", "main")
	write(t, dir, "overlays/motd/default.nix", "final: prev: { motd = throw \"gone\"; }\n")
	git(t, dir, "commit", "-qam", "Break motd")
	p := pull{dir: dir, repository: "o/r", base: git(t, dir, "rev-parse", "main"), head: git(t, dir, "rev-parse", "mine")}
	repository := map[string]any{"full_name": "o/r", "default_branch": "main", "name": "r", "owner": map[string]any{"login": "o"}}
	sender := map[string]any{"login": "ann", "id": 7, "type": "User"}
	for _, tc := range []struct {
		event   string
		payload map[string]any
	}{
		{"workflow_dispatch", map[string]any{"ref": "refs/heads/mine", "inputs": map[string]any{}, "repository": repository, "sender": sender}},
		{"merge_group", map[string]any{"action": "checks_requested", "merge_group": map[string]any{"base_sha": p.base, "head_sha": p.head, "base_ref": "refs/heads/main", "head_ref": "refs/heads/gh-readonly-queue/main/pr-1"}, "repository": repository, "sender": sender}},
	} {
		t.Run(tc.event, func(t *testing.T) {
			run := p.run(t, bot)
			run.Event, run.Payload = tc.event, tc.payload
			res := run.Start(ctx, t)
			assert.False(t, res.OK)
			r := theReport(t, res)
			assert.Equal(t, checks.Failure, r.Conclusion)
			assert.Equal(t, p.base, r.Change.Base)
			assert.Equal(t, p.head, r.Change.Head)
			assert.Equal(t, checks.Regressed, caseOf(t, r, checks.KindEval, "motd").Verdict)
		})
	}
	t.Run("edited", func(t *testing.T) {
		p := open(t, dir, "mine", "")
		run := p.run(t, bot)
		event := p.event("edited")
		event["changes"] = map[string]any{"title": map[string]any{"from": "x"}}
		run.Payload = event
		res := run.Start(ctx, t)
		assert.True(t, res.OK)
		assert.NoDirExists(t, filepath.Join(res.Artifacts, "asterbot-plan-1"))
		event["changes"] = map[string]any{"base": map[string]any{"ref": map[string]any{"from": "old"}, "sha": map[string]any{"from": p.base}}}
		event["number"] = 6
		git(t, dir, "branch", "-f", "docs", "main")
		git(t, dir, "checkout", "-q", "docs")
		write(t, dir, "docs/more.md", "Words.\n")
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-qm", "Words")
		other := open(t, dir, "docs", "")
		event["pull_request"] = other.event("edited")["pull_request"]
		res = run.Start(ctx, t)
		assert.Equal(t, checks.Skipped, theReport(t, res).Conclusion, "another base is another question")
	})
}
