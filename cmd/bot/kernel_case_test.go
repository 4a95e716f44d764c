package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/action"
	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/config"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/proc"
)

func TestKernelOutcome(t *testing.T) {
	failed := func(tail string) error {
		return &proc.Error{Args: []string{"sh"}, Exit: 2, Tail: tail, Err: &exec.ExitError{}}
	}
	for _, tc := range []struct {
		name   string
		err    error
		now    checks.Status
		reason string
	}{
		{"it builds", nil, checks.Pass, ""},
		{"rustc's first error", fmt.Errorf("%w: %w", kernel.ErrBuild, failed("warning: unused\nerror[E0425]: cannot find value `idle`\n  --> src/sched.rs:2\nerror: aborting due to 1 previous error\nmake: *** [kernel] Error 101")), checks.Fail, "the kernel does not build: error[E0425]: cannot find value `idle`"},
		{"gcc's first error", fmt.Errorf("%w: %w", kernel.ErrBuild, failed("sched.c:2:43: error: 'idle' undeclared\nmake: *** [kernel] Error 1")), checks.Fail, "the kernel does not build: sched.c:2:43: error: 'idle' undeclared"},
		{"a command that says nothing of an error", fmt.Errorf("%w: %w", kernel.ErrBuild, failed("no rule to make target 'kernel'")), checks.Fail, "the kernel does not build: no rule to make target 'kernel'"},
		{"no image", fmt.Errorf("%w: its command succeeded but left no image", kernel.ErrBuild), checks.Fail, "the kernel does not build: its command succeeded but left no image"},
		{"no container", errors.New("run container x: no such image"), checks.Error, "the kernel could not be built here: run container x: no such image"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := kernelOutcome(tc.err)
			assert.Equal(t, tc.now, o.Status)
			assert.Equal(t, tc.reason, o.Reason)
			assert.Equal(t, tc.now == checks.Error, o.Infra)
		})
	}
}

// The jobs of both sides leave what they know; whether the change broke the kernel
// shows when it is put together.
func TestMergeKernels(t *testing.T) {
	pass, fail := kernelOutcome(nil), kernelOutcome(kernel.ErrBuild)
	for _, tc := range []struct {
		name       string
		base, head *checks.Outcome
		status     string // of the kernel in the plan
		want       checks.Verdict
	}{
		{"it builds as before", &pass, &pass, "unknown", checks.Passing},
		{"it no longer builds", &pass, &fail, "unknown", checks.Regressed},
		{"it builds again", &fail, &pass, "unknown", checks.Fixed},
		{"it does not build, before or now", &fail, &fail, "unknown", checks.StillFailing},
		{"nothing of it changed, and it is built once", nil, &fail, "unchanged", checks.StillFailing},
		{"base's job died", nil, &fail, "unknown", checks.Undecided},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			leave := func(side string, o *checks.Outcome) string {
				if o == nil {
					return ""
				}
				r := kernelResult(*o, checks.Side{Status: checks.Unknown})
				putDocument(t, filepath.Join(dir, side, "results.json"), &checks.Results{Cases: []checks.Result{r}})
				return side
			}
			base, head := leave("base", tc.base), leave("head", tc.head)
			require.NoError(t, mergeKernels(dir, base, head, &checks.Plan{Kernel: &checks.KernelPlan{Status: tc.status}}))
			rs, err := readDocument(filepath.Join(dir, "head", "results.json"), report.DecodeResults)
			require.NoError(t, err)
			assert.Equal(t, tc.want, rs.Cases[0].Verdict)
			assert.NoDirExists(t, filepath.Join(dir, "base"), "told once")
		})
	}
}

// A shard settles its own part of the plan; what it says of another's is not used.
func TestOnlyItsOwn(t *testing.T) {
	image := checks.Case{Kind: checks.KindInstall, Of: distro.KindImage, Subject: "iso", Name: "installs"}
	suite := checks.Case{Kind: checks.KindBoot, Of: distro.KindSuite, Subject: "base", Name: "boots"}
	plan := &checks.Plan{Cases: []checks.PlannedCase{{Case: image, Tier: 1}, {Case: suite, Tier: 1}}}
	dir := t.TempDir()
	for shard, c := range []checks.Case{image, suite} {
		name := fmt.Sprintf("asterbot-results-%d-1", shard)
		result := func(c checks.Case) checks.Result {
			return checks.Result{Case: c, Was: checks.Pass, Now: checks.Pass, Verdict: checks.Passing, Attempts: 1, Passes: 1}
		}
		cases := []checks.Result{result(c)}
		if shard == 0 {
			cases = append(cases, result(suite))
		}
		putDocument(t, filepath.Join(dir, name, "results.json"), &checks.Results{Cases: cases})
	}
	kept, notes, err := newestResults(dir, "1", plan)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	assert.Contains(t, notes[0], "the results of shard 0 are about suite base, which is not its own; they were not used")
	assert.NoDirExists(t, filepath.Join(kept, "asterbot-results-0-1"))
	assert.FileExists(t, filepath.Join(kept, "asterbot-results-1-1", "results.json"))
}

// On one's own machine, too, a kernel that does not build is a verdict.
func TestCheckOfAKernelThatDoesNotBuild(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Skip("needs Nix")
	}
	repo := t.TempDir()
	put := func(name, text string) {
		p := filepath.Join(repo, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	git := func(args ...string) {
		out, err := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	put("dist/default.nix", `{ nixpkgs ? null, kernel ? null, ... }: { packages = { }; images = { }; suites = { }; }`)
	put(".github/asterbot.yml", "entry: dist/default.nix\nreads: dist\nnixpkgs: {path: dist}\nkernel:\n  inputs: src/**\n  profile: linux\n  build: {command: sh src/build, image: image}\n")
	put("src/build", "echo kernel >image\n")
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-qm", "one")
	put("src/build", "echo 'x.c:1: error: no such thing' >&2\nexit 1\n")
	git("commit", "-qam", "two")
	code, out, errs := bot(t, repo, "check", "--base", "HEAD^", "--build-kernel", "--out", "out", "--json")
	require.Equal(t, 1, code, errs)
	r, err := report.DecodeReport(strings.NewReader(out))
	require.NoError(t, err)
	require.Len(t, r.Cases, 1)
	assert.Equal(t, checks.Regressed, r.Cases[0].Verdict)
	assert.Equal(t, "the kernel does not build: x.c:1: error: no such thing", r.Cases[0].Reason)
}

// Nothing stands between a command on the runner and what the runner holds: without a
// container, a pull request's kernel is an error that says what to do.
func TestAPullRequestsKernelIsBuiltInAContainerOrNot(t *testing.T) {
	jobs := []kernelJob{{Side: "head"}}
	for _, tc := range []struct {
		name, container, trust string
		untrusted, built       bool
	}{
		{"a pull request's, in a container", "builder@sha256:1", "", true, true},
		{"a pull request's, on the runner", "", "", true, false},
		{"the default branch's, on the runner", "", "", false, true},
		{"on a machine whose owner says so", "", "all", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			getenv := func(k string) string {
				return map[string]string{"ASTERBOT_TRUST": tc.trust, "ASTERBOT_KERNEL_BUILD": `{"command":"true"}`, "ASTERBOT_SIDE": "head"}[k]
			}
			s := &step{env: &env{Getenv: getenv, Dir: t.TempDir()}, log: action.NewLog(&out), files: &action.Files{Getenv: getenv}}
			s.event.Untrusted = tc.untrusted
			c := config.Default()
			c.Kernel.Build = &config.KernelBuild{Command: "make kernel", Image: "x", Container: tc.container}
			plan := &checks.Plan{}
			left, err := s.announceKernels(plan, c, jobs)
			require.NoError(t, err)
			require.Len(t, plan.Cases, 1)
			if tc.built {
				assert.Equal(t, jobs, left)
				assert.Empty(t, plan.Settled)
				return
			}
			assert.Empty(t, left, "no job is made for it")
			require.Len(t, plan.Settled, 1)
			assert.Equal(t, checks.Error, plan.Settled[0].Now)
			assert.Contains(t, plan.Settled[0].Reason, "name a container by digest")
			assert.ErrorContains(t, s.kernel(t.Context()), "name a container by digest", "nor if somebody makes one all the same")
		})
	}
}
