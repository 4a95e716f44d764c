package main

import (
	"bytes"
	"encoding/base64"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/testvm"
)

// vm runs bot vm in a folder, and returns its exit code and what it printed.
func vm(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	e := &env{Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &out, Getenv: os.Getenv, Dir: dir}
	code := run(t.Context(), e, append([]string{"vm"}, args...))
	return code, out.String()
}

func TestVMRefusesWrongUsageBeforeItStartsAnything(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("k", "kernel")
	write("bad.yml", "- name: a\n  rum: x\n")
	write("bad.json", `{"schema":"asterbot/results/9"}`)
	for _, c := range []struct {
		what string
		args []string
		want string
	}{
		{"no folder", []string{"--kernel", "k"}, `required flag(s) "out"`},
		{"nothing to boot", []string{"--out", "o"}, "there is nothing to boot"},
		{"a kernel that is not there", []string{"--out", "o", "--kernel", "nope"}, "no such file"},
		{"a kernel that is a folder", []string{"--out", "o", "--kernel", "."}, "is a folder"},
		{"a profile that is not there", []string{"--out", "o", "--kernel", "k", "--profile", "hurd"}, "there are linux, asterinas"},
		{"a firmware that is not there", []string{"--out", "o", "--kernel", "k", "--firmware", "coreboot"}, "it can be uefi or bios"},
		{"memory that is no number", []string{"--out", "o", "--kernel", "k", "--memory", "much"}, "give MiB"},
		{"cases with an unknown field", []string{"--out", "o", "--kernel", "k", "--cases", "bad.yml"}, "[2:3]"},
		{"a baseline that is none", []string{"--out", "o", "--kernel", "k", "--baseline", "bad.json"}, "bad.json"},
		{"symbols without any", []string{"--out", "o", "--kernel", "k", "--symbols", "k"}, "symbols"},
		{"half a control", []string{"--out", "o", "--kernel", "k", "--control-initrd", "k"}, "need --control-kernel"},
	} {
		t.Run(c.what, func(t *testing.T) {
			code, out := vm(t, dir, c.args...)
			assert.Equal(t, checks.ExitUsage, code, out)
			assert.Contains(t, out, c.want)
			assert.NoDirExists(t, filepath.Join(dir, "o"))
		})
	}
}

func TestVMTellsAPanicOfARealKernel(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs QEMU: qemu-system-x86_64 is not installed")
	}
	image := filepath.Join(kernel.Cache(os.Getenv), "kernel", "vmlinuz")
	if _, err := os.Stat(image); err != nil {
		t.Skip("needs the set-up's kernel: " + err.Error())
	}
	for _, flag := range []string{"--fork=false", "--fork"} {
		t.Run(flag, func(t *testing.T) {
			dir := t.TempDir()
			code, out := vm(t, dir, "--kernel", image, "--append", "rdinit=/nope root=/dev/nope", "--retries", "0", "--out", "out", flag)
			assert.Equal(t, 1, code, out)
			assert.Contains(t, out, "panic at stage components")
			f, err := os.Open(filepath.Join(dir, "out/results.json"))
			require.NoError(t, err)
			defer f.Close()
			results, err := report.DecodeResults(f)
			require.NoError(t, err, "what was written can be a baseline")
			require.Len(t, results.Machines, 1)
			m := results.Machines[0]
			assert.Equal(t, checks.MachinePanic, m.Outcome)
			assert.Equal(t, "components", m.Stage)
			assert.Contains(t, m.Title, "Unable to mount root fs")
			assert.NotEmpty(t, m.Trace)
			said, err := os.ReadFile(filepath.Join(dir, "out", m.Consoles["ttyS0"]))
			require.NoError(t, err)
			assert.Contains(t, string(said), "Linux version")
			assert.NotEmpty(t, results.Cases[0].Tail)
		})
	}
}

func TestAFramebufferThatShowsAPanicIsInTheReport(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs QEMU: qemu-system-x86_64 is not installed")
	}
	image := filepath.Join(kernel.Cache(os.Getenv), "kernel", "vmlinuz")
	if _, err := os.Stat(image); err != nil {
		t.Skip("needs the set-up's kernel: " + err.Error())
	}
	dir := t.TempDir()
	code, out := vm(t, dir, "--kernel", image, "--firmware", "uefi", "--append", "console=tty0 panic=0 rdinit=/nope root=/dev/nope", "--timeout", "1m", "--retries", "0", "--out", "out")
	require.Equal(t, 1, code, out)
	f, err := os.Open(filepath.Join(dir, "out/results.json"))
	require.NoError(t, err)
	defer f.Close()
	results, err := report.DecodeResults(f)
	require.NoError(t, err)
	boots := results.Cases[0]
	require.NotEmpty(t, boots.Image, out)
	shot, err := os.ReadFile(filepath.Join(dir, "out", boots.Image))
	require.NoError(t, err)
	blank, err := testvm.Blank(shot)
	require.NoError(t, err)
	assert.False(t, blank, "the kernel's console is on the screen")

	var page bytes.Buffer
	boots.Verdict = checks.Regressed
	require.NoError(t, report.HTML(&page, &checks.Report{Cases: []checks.Result{boots}, Machines: results.Machines}, os.DirFS(filepath.Join(dir, "out"))))
	shown := strings.Contains(html.UnescapeString(page.String()), "data:image/png;base64,"+base64.StdEncoding.EncodeToString(shot))
	assert.True(t, shown, "the report shows the screen")
}

func TestVMJudges(t *testing.T) {
	job := suite.Job{Of: distro.KindSuite, Name: "vm", Suite: distro.Suite{Cases: []distro.CaseSpec{{Name: "a"}, {Name: "b"}}}}
	pass := checks.Outcome{Status: checks.Pass, Attempts: 1, Passes: 1}
	fail := checks.Outcome{Status: checks.Fail, Attempts: 1, Title: "no", Reason: "no", Likely: []string{"it said so"}}
	other := checks.Outcome{Status: checks.Fail, Attempts: 1, Title: "yes", Reason: "yes"}
	lost := checks.Outcome{Status: checks.Error, Infra: true, Reason: "lost"}
	ran := func(outcome checks.MachineOutcome, a, b checks.Outcome) suite.Ran {
		return suite.Ran{Machine: checks.Machine{Name: "machine", Outcome: outcome, Stage: "ready"},
			Outcomes: map[checks.Case]checks.Outcome{job.Boots(): pass, job.Case("a"): a, job.Case("b"): b}}
	}
	before := func(a, b checks.Outcome) *checks.Results {
		return &checks.Results{Cases: vmResults(job, ran(checks.MachineOK, a, b), nil, nil)}
	}
	for _, c := range []struct {
		what     string
		now      suite.Ran
		control  *suite.Ran
		baseline *checks.Results
		code     int
		verdict  checks.Verdict // of a
		blame    checks.Blame   // of a
		says     string
	}{
		{"all pass", ran("ok", pass, pass), nil, nil, 0, checks.Passing, "", "2 of 2 cases pass"},
		{"one fails", ran("ok", fail, pass), nil, nil, 1, checks.Undecided, checks.BlameUnknown, "1 of 2 cases pass, 1 fail: a"},
		{"one could not be looked at", ran("ok", lost, pass), nil, nil, 3, checks.Undecided, checks.BlameInfra, "1 could not be looked at: a"},
		{"all pass, but the machine panicked", ran("panic", pass, pass), nil, nil, 1, checks.Passing, "", "panic at stage ready"},
		{"the control passes", ran("ok", fail, pass), ptr(ran("ok", pass, pass)), nil, 1, checks.Undecided, checks.BlameKernel, ""},
		{"the control fails in the same way", ran("ok", fail, pass), ptr(ran("ok", fail, pass)), nil, 1, checks.Undecided, checks.BlamePackage, ""},
		{"the control fails in another way", ran("ok", fail, pass), ptr(ran("ok", other, pass)), nil, 1, checks.Undecided, checks.BlameUnknown, ""},
		{"regressed", ran("ok", fail, pass), nil, before(pass, pass), 1, checks.Regressed, checks.BlameUnknown, "1 regressed: a"},
		{"fixed", ran("ok", pass, pass), nil, before(fail, pass), 0, checks.Fixed, "", "1 fixed: a"},
		{"still failing", ran("ok", fail, pass), nil, before(fail, pass), 0, checks.StillFailing, checks.BlameUnknown, "1 still-failing: a"},
		{"nothing changed", ran("ok", pass, pass), nil, before(pass, pass), 0, checks.Passing, "", "nothing changed"},
		{"no longer to be looked at", ran("ok", lost, pass), nil, before(pass, pass), 3, checks.Undecided, checks.BlameInfra, "1 unknown: a"},
	} {
		t.Run(c.what, func(t *testing.T) {
			results := &checks.Results{Machines: []checks.Machine{c.now.Machine}, Cases: vmResults(job, c.now, c.control, c.baseline)}
			code, line := vmAnswer(results, c.baseline != nil)
			assert.Equal(t, c.code, code, line)
			assert.Contains(t, line, c.says)
			a := results.Cases[1]
			assert.Equal(t, "a", a.Name)
			assert.Equal(t, c.verdict, a.Verdict)
			assert.Equal(t, c.blame, a.Blame)
			if c.verdict == checks.Fixed {
				assert.Equal(t, "before: no", a.Reason)
				assert.Equal(t, []string{"it said so"}, a.Likely)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
