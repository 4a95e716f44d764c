package suite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// lab boots machines in memory. How a command goes is a word of its text:
//
//	pass, fail, say=TEXT, kernel=LINE (underscores are spaces), panic, hang, infra, off,
//	flaky=N (fails the first N times), infra-once
//
// and how a boot goes a word of boots, the last repeats: up, panic, infra, stuck
// (comes up, does not power off).
type lab struct {
	boots []string

	mu      sync.Mutex
	started int
	live    int
	ran     []string // "machine/command"
	times   map[string]int
}

type machine struct {
	lab    *lab
	id     int
	stuck  bool
	ending *testvm.Ending
}

func (l *lab) Boot(context.Context) (suite.Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how := "up"
	if len(l.boots) > 0 {
		how = l.boots[min(l.started, len(l.boots)-1)]
	}
	l.started++
	switch how {
	case "panic":
		return nil, &suite.BootError{Ending: testvm.Ending{Outcome: testvm.Panic, Title: "no init", Reason: "no init found", Stage: console.StageRootfs, Exit: 65}}
	case "hang":
		return nil, &suite.BootError{Ending: testvm.Ending{Outcome: testvm.Hang, Title: "hang after stage components", Stage: console.StageComponents, Exit: -1}}
	case "infra":
		return nil, errors.New("QEMU is not there")
	}
	l.live++
	return &machine{lab: l, id: l.started, stuck: how == "stuck"}, nil
}

func (m *machine) Run(_ context.Context, c testvm.Command) (testvm.Result, error) {
	m.lab.mu.Lock()
	defer m.lab.mu.Unlock()
	if m.lab.times == nil {
		m.lab.times = map[string]int{}
	}
	m.lab.times[c.Name]++
	times := m.lab.times[c.Name]
	m.lab.ran = append(m.lab.ran, fmt.Sprintf("%d/%s", m.id, c.Name))
	var res testvm.Result
	for word := range strings.FieldsSeq(c.Run) {
		key, value, _ := strings.Cut(word, "=")
		value = strings.ReplaceAll(value, "_", " ")
		switch key {
		case "fail":
			res.Status = 1
		case "say":
			res.Output = append(res.Output, value+"\n"...)
		case "kernel":
			res.Kernel = append(res.Kernel, value)
		case "oops":
			m.ending = &testvm.Ending{Outcome: testvm.Oops, Title: "BUG in frob", Reason: "the kernel reported an oops and went on"}
		case "flaky":
			var n int
			_, _ = fmt.Sscan(value, &n)
			if times <= n {
				res.Status = 1
			}
		case "panic":
			m.ending = &testvm.Ending{Outcome: testvm.Panic, Title: "ring overflowed", Reason: "kernel panic: ring overflowed", Stage: console.StageReady, Exit: 65,
				Trace: []console.Frame{{Function: "push", Address: "0x10"}}}
			return res, fmt.Errorf("run: %w", testvm.ErrGuestEnded)
		case "hang":
			m.ending = &testvm.Ending{Outcome: testvm.Hang, Title: "hang during case", Reason: "no sign of life", Exit: -1}
			return res, testvm.ErrGuestEnded
		case "off":
			m.ending = &testvm.Ending{Outcome: testvm.OK, Exit: 33}
			return res, testvm.ErrGuestEnded
		case "infra", "infra-once":
			if key == "infra" || times == 1 {
				m.ending = &testvm.Ending{Outcome: testvm.Infra, Reason: "QEMU was killed", Exit: -1}
				return res, testvm.ErrGuestEnded
			}
		}
	}
	return res, nil
}

func (m *machine) Screenshot(context.Context) ([]byte, error) { return nil, errors.New("no screen") }
func (m *machine) Forked() bool                               { return m.id > 1 }

func (m *machine) Oops() *console.Crash {
	if m.ending != nil && m.ending.Outcome == testvm.Oops {
		return &console.Crash{Kind: console.KindOops, Title: "BUG in frob", Message: "BUG in frob"}
	}
	return nil
}

func (m *machine) End(_ context.Context, powerOff bool) testvm.Ending {
	m.lab.mu.Lock()
	defer m.lab.mu.Unlock()
	m.lab.live--
	switch {
	case m.ending != nil:
		return *m.ending
	case powerOff && m.stuck:
		return testvm.Ending{Outcome: testvm.Shutdown, Title: "wrong exit status", Reason: "it halted", Stage: console.StageReady}
	}
	return testvm.Ending{Outcome: testvm.OK, Stage: console.StageReady, Duration: time.Second,
		Stages: []console.Reached{{Stage: console.StageKernel, At: time.Millisecond}}}
}

// cases are specs written as "name: command".
func cases(texts ...string) []distro.CaseSpec {
	var out []distro.CaseSpec
	for _, t := range texts {
		name, run, _ := strings.Cut(t, ": ")
		out = append(out, distro.CaseSpec{Name: name, Run: run})
	}
	return out
}

// brief writes outcomes as "pass", "fail", "fail 1/3", "error (infra)".
func brief(o checks.Outcome) string {
	s := string(o.Status)
	if o.Infra {
		s += " (infra)"
	}
	if o.Attempts > 1 {
		s += fmt.Sprintf(" %d/%d", o.Passes, o.Attempts)
	}
	return s
}

func TestTheHangOfAKernelIsSeenTwiceAndNotInEverySystemAgain(t *testing.T) {
	var hangs suite.Hangs
	var started []int
	for range 3 {
		l := &lab{boots: []string{"hang"}}
		job := suite.Job{Of: distro.KindSuite, Name: "s", Machine: "m", Profile: "asterinas", Retries: 2, Hangs: &hangs}
		ran, err := job.Run(t.Context(), l, nil)
		require.NoError(t, err)
		assert.Equal(t, checks.Fail, ran.Outcomes[job.Boots()].Status)
		started = append(started, l.started)
	}
	assert.Equal(t, []int{2, 1, 1}, started)
}

func TestEveryCaseIsSettled(t *testing.T) {
	for _, c := range []struct {
		what    string
		sharing distro.MachineSharing
		boots   []string
		cases   []string
		retries int
		want    string // of the boot and of each case
		outcome checks.MachineOutcome
		started int
	}{
		{"all pass in one machine", "", nil, []string{"a: pass", "b: pass"}, 0, "pass; pass; pass", checks.MachineOK, 1},
		{"a failure does not stop the others", "", nil, []string{"a: fail", "b: pass"}, 0, "pass; fail; pass", checks.MachineOK, 1},
		{"a failure is looked at again on fresh machines", "", nil, []string{"a: fail", "b: pass"}, 2, "pass; fail 0/3; pass", checks.MachineOK, 3},
		{"what fails now and then is counted", "", nil, []string{"a: flaky=1"}, 2, "pass; fail 2/3", checks.MachineOK, 3},
		{"after a panic independent cases go on", "", nil, []string{"a: pass", "b: panic", "c: pass"}, 0, "pass; pass; fail; pass", checks.MachinePanic, 2},
		{"after a panic the rest of a sequence is an error", distro.MachineOrdered, nil, []string{"a: pass", "b: panic", "c: pass"}, 0, "pass; pass; fail; error", checks.MachinePanic, 1},
		{"a sequence is looked at again as a whole", distro.MachineOrdered, nil, []string{"a: pass", "b: flaky=1"}, 1, "pass; pass 2/2; fail 1/2", checks.MachineOK, 2},
		{"each case has a machine", distro.MachineFresh, nil, []string{"a: pass", "b: panic", "c: fail"}, 0, "pass; pass; fail; fail", checks.MachinePanic, 3},
		{"a hang is the case's", "", nil, []string{"a: hang", "b: pass"}, 0, "pass; fail; pass", checks.MachineHang, 2},
		{"a hang is waited for twice and not more often", "", nil, []string{"a: hang", "b: pass"}, 4, "pass; fail 0/2; pass", checks.MachineHang, 3},
		{"when all hang the rest is given up", "", nil, []string{"a: hang", "b: hang", "c: hang", "d: hang", "e: pass"}, 0, "pass; fail; fail; fail; error; error", checks.MachineHang, 3},
		{"when some pass it is not", "", nil, []string{"a: pass", "b: hang", "c: hang", "d: hang", "e: pass"}, 0, "pass; pass; fail; fail; fail; pass", checks.MachineHang, 4},
		{"a boot that hangs is waited for twice and not more often", "", []string{"hang"}, []string{"a: pass"}, 4, "fail 0/2; error", checks.MachineHang, 2},
		{"an oops is the case's, though its command passed", "", nil, []string{"a: oops", "b: pass"}, 0, "pass; fail; pass", checks.MachineOops, 2},
		{"a case that powers the machine off fails", "", nil, []string{"a: off", "b: pass"}, 0, "pass; fail; pass", checks.MachineOK, 2},
		{"our own failure is tried again in silence", "", nil, []string{"a: infra-once", "b: pass"}, 0, "pass; pass; pass", checks.MachineOK, 2},
		{"our own failure again is an error and nobody's fault", "", nil, []string{"a: infra", "b: pass"}, 0, "pass; error (infra); pass", checks.MachineOK, 3},
		{"a system that does not come up", "", []string{"panic"}, []string{"a: pass"}, 0, "fail; error", checks.MachinePanic, 1},
		{"a system that comes up at the second try", "", []string{"panic", "up"}, []string{"a: pass"}, 2, "fail 1/2; pass", checks.MachinePanic, 2},
		{"QEMU that cannot be started", "", []string{"infra"}, []string{"a: pass"}, 2, "error (infra); error (infra)", checks.MachineInfra, 2},
		{"QEMU that can be started at the second try", "", []string{"infra", "up"}, []string{"a: pass"}, 0, "pass; pass", checks.MachineOK, 2},
		{"a system that does not power off", "", []string{"stuck"}, []string{"a: pass"}, 0, "fail; pass", checks.MachineShutdown, 1},
		{"no cases: only the boot", "", nil, nil, 0, "pass", checks.MachineOK, 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := &lab{boots: c.boots}
			job := suite.Job{Of: distro.KindSuite, Name: "s", Machine: "m", Profile: "linux", Retries: c.retries,
				Suite: distro.Suite{Machine: c.sharing, Cases: cases(c.cases...)}}
			told := map[checks.Case]int{}
			var mu sync.Mutex
			ran, err := job.Run(t.Context(), l, func(c checks.Case, _ checks.Outcome) {
				mu.Lock()
				defer mu.Unlock()
				told[c]++
			})
			got := []string{brief(ran.Outcomes[job.Boots()])}
			for _, spec := range job.Suite.Cases {
				o := ran.Outcomes[job.Case(spec.Name)]
				got = append(got, brief(o))
				if o.Status != checks.Pass {
					assert.NotEmpty(t, o.Reason, spec.Name)
				}
				assert.Equal(t, 1, told[job.Case(spec.Name)], "times that %s was told", spec.Name)
			}
			assert.Equal(t, c.want, strings.Join(got, "; "))
			assert.Equal(t, c.outcome, ran.Machine.Outcome)
			assert.Equal(t, c.started, l.started, "machines started")
			assert.Zero(t, l.live, "machines left running")
			assert.Equal(t, strings.Contains(c.want, "infra") && c.outcome == checks.MachineInfra, err != nil)
		})
	}
}

func TestACaseThatPanickedHasTheTitleAndTheTrace(t *testing.T) {
	job := suite.Job{Name: "s", Suite: distro.Suite{Cases: cases("a: panic")}}
	ran, err := job.Run(t.Context(), &lab{}, nil)
	require.NoError(t, err)
	o := ran.Outcomes[job.Case("a")]
	assert.Equal(t, "ring overflowed", o.Title)
	assert.Contains(t, o.Reason, "panic: ")
	assert.Equal(t, []checks.Frame{{Function: "push", Address: "0x10"}}, o.Trace)
	assert.Equal(t, o.Trace, ran.Machine.Trace)
	assert.Equal(t, "ring overflowed", ran.Machine.Title)
}

func TestACaseIsJudgedByStatusAndOutput(t *testing.T) {
	for _, c := range []struct {
		what   string
		spec   distro.CaseSpec
		status checks.Status
		reason string
		title  string
	}{
		{"status 0 passes", distro.CaseSpec{Run: "pass"}, checks.Pass, "", ""},
		{"another status fails with what was said last", distro.CaseSpec{Run: "fail say=EOF_on_netlink"}, checks.Fail, "exit status 1: EOF on netlink", "EOF on netlink"},
		{"the status expected passes", distro.CaseSpec{Run: "fail", Status: 1}, checks.Pass, "", ""},
		{"another than expected fails", distro.CaseSpec{Run: "pass", Status: 3}, checks.Fail, "exit status 0 instead of 3", "no output"},
		{"output that matches passes", distro.CaseSpec{Run: "say=one say=two", Expect: "^two$"}, checks.Pass, "", ""},
		{"output that does not match fails", distro.CaseSpec{Run: "say=pid_77", Expect: "^two$"}, checks.Fail, "the output does not match ^two$, it ends in: pid 77", "unexpected output: pid N"},
		{"titles leave numbers out", distro.CaseSpec{Run: "fail say=12:30_[emerg]_314#314:_no"}, checks.Fail, "exit status 1: 12:30 [emerg] 314#314: no", "N:N [emerg] N#N: no"},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.spec.Name = "a"
			job := suite.Job{Name: "s", Suite: distro.Suite{Cases: []distro.CaseSpec{c.spec}}}
			ran, err := job.Run(t.Context(), &lab{}, nil)
			require.NoError(t, err)
			o := ran.Outcomes[job.Case("a")]
			assert.Equal(t, c.status, o.Status)
			assert.Equal(t, c.reason, o.Reason)
			assert.Equal(t, c.title, o.Title)
		})
	}
}

func TestLikelyCausesAreLinesOfNoPassingCase(t *testing.T) {
	const rseq, fadvise = "kernel=Unimplemented_syscall_number:_N", "kernel=fadvise_is_ignored"
	job := suite.Job{Name: "s", Suite: distro.Suite{Cases: cases(
		"tar: pass "+rseq+" "+fadvise,
		"ip: fail "+rseq+" kernel=PID_N:_terminating_on_signal_SIGKILL kernel=unsupported_flags:_MSG_PEEK_|_MSG_TRUNC",
		"nginx: fail "+rseq,
		"redis: fail kernel=b kernel=c kernel=unknown_option kernel=a kernel=d",
	)}}
	ran, err := job.Run(t.Context(), &lab{}, nil)
	require.NoError(t, err)
	likely := func(name string) []string { return ran.Outcomes[job.Case(name)].Likely }
	assert.Equal(t, []string{"unsupported flags: MSG PEEK | MSG TRUNC", "PID N: terminating on signal SIGKILL"}, likely("ip"))
	assert.Empty(t, likely("nginx"), "a line of a passing case explains nothing")
	assert.Equal(t, []string{"unknown option", "b", "c"}, likely("redis"), "three at most, those that say what is missing first")
	assert.Empty(t, likely("tar"))
}

func TestFailuresLeaveALogWithASafeName(t *testing.T) {
	dir := t.TempDir()
	job := suite.Job{Name: "s", Dir: filepath.Join(dir, "logs"), Prefix: "logs",
		Suite: distro.Suite{Cases: cases("../../etc/passwd: fail say=no kernel=oh", "..: fail")}}
	ran, err := job.Run(t.Context(), &lab{}, nil)
	require.NoError(t, err)
	for _, name := range []string{"../../etc/passwd", ".."} {
		log := ran.Outcomes[job.Case(name)].Log
		assert.Equal(t, "logs", filepath.Dir(log))
		text, err := os.ReadFile(filepath.Join(dir, log))
		require.NoError(t, err)
		assert.Contains(t, string(text), "exit status 1")
	}
}

func TestASuiteIsCheckedBeforeItIsRun(t *testing.T) {
	for _, c := range []struct {
		what string
		spec distro.CaseSpec
		want string
	}{
		{"a name", distro.CaseSpec{Run: "x"}, "it has no name"},
		{"something to do", distro.CaseSpec{Name: "a"}, "it has neither run nor screen"},
		{"a screen that is known", distro.CaseSpec{Name: "a", Screen: "blue"}, `screen is "blue"`},
		{"a regular expression", distro.CaseSpec{Name: "a", Run: "x", Expect: "("}, "expect is no regular expression"},
		{"a status", distro.CaseSpec{Name: "a", Run: "x", Status: 256}, "status is 256"},
	} {
		t.Run(c.what, func(t *testing.T) {
			assert.ErrorContains(t, suite.Check(distro.Suite{Cases: []distro.CaseSpec{c.spec}}), c.want)
		})
	}
	assert.ErrorContains(t, suite.Check(distro.Suite{Cases: cases("a: x", "a: y")}), "is taken")
	assert.NoError(t, suite.Check(distro.Suite{Cases: cases("a: x", "b: y")}))
}

func TestAStoppedJobLeavesErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	job := suite.Job{Name: "s", Suite: distro.Suite{Cases: cases("a: pass")}}
	ran, _ := job.Run(ctx, &lab{}, nil)
	assert.Equal(t, "error (infra)", brief(ran.Outcomes[job.Case("a")]))
	assert.Equal(t, "error (infra)", brief(ran.Outcomes[job.Boots()]))
}
