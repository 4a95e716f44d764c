package suite

import (
	"fmt"
	"slices"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/testvm"
)

// fate is how the machines of a job fared, together.
type fate struct {
	err          error // ours, after a second try
	boots, forks int
	first        *testvm.Ending // whose stages are told
	worst        *testvm.Ending
	notes        []string
	evidence     []string
	shots        []string
}

// up counts a machine that came up.
func (f *fate) up(m Machine) {
	if m.Forked() {
		f.forks++
	} else {
		f.boots++
	}
}

// ended takes in how one machine ended.
func (f *fate) ended(e testvm.Ending, booting bool) {
	if booting {
		f.boots++
	}
	if f.first == nil || len(f.first.Stages) == 0 {
		f.first = &e
	}
	// Of those that fared well one that powered off says more than one that was
	// ended when its case had run.
	poweredOff := e.Outcome == testvm.OK && e.Exit >= 0
	if f.worst == nil || badness(e.Outcome) > badness(f.worst.Outcome) || poweredOff && f.worst.Outcome == testvm.OK && f.worst.Exit < 0 {
		f.worst = &e
	}
	for _, n := range e.Notes {
		f.note(n)
	}
	for _, ev := range e.Evidence {
		if len(f.evidence) < maxEvidence {
			f.evidence = append(f.evidence, ev.Name+": "+ev.Text)
		}
	}
}

const maxEvidence = 16

func (f *fate) note(s string) {
	if !slices.Contains(f.notes, s) && len(f.notes) < maxEvidence {
		f.notes = append(f.notes, s)
	}
}

func (f *fate) infra(err error) {
	if f.err == nil {
		f.err = err
	}
}

// badness orders outcomes from good to bad. What we broke ourselves is no
// outcome of the kernel's as long as there is another.
func badness(o testvm.Outcome) int {
	return slices.Index([]testvm.Outcome{
		testvm.Infra, testvm.OK, testvm.Shutdown, testvm.Timeout, testvm.Reboot, testvm.Oops, testvm.Hang, testvm.Panic,
	}, o)
}

// machine is what the results say of the machines.
func (f *fate) machine(j Job) checks.Machine {
	m := checks.Machine{
		Name: j.Machine, Profile: j.Profile, Outcome: checks.MachineInfra, Trace: []checks.Frame{}, Exit: -1,
		Boots: f.boots, Forks: f.forks, Notes: f.notes, Evidence: f.evidence, Screenshots: f.shots,
	}
	if f.worst != nil {
		e := f.worst
		m.Outcome = checks.MachineOutcome(e.Outcome)
		m.Stage, m.Title, m.Reason, m.Exit = string(e.Stage), e.Title, e.Reason, e.Exit
		m.Trace = append(m.Trace, frames(e.Trace)...)
	}
	if f.first != nil {
		for _, s := range f.first.Stages {
			m.Stages = append(m.Stages, checks.StageTime{Stage: string(s.Stage), Seconds: s.At.Seconds()})
		}
		if m.Stage == "" && len(m.Stages) > 0 {
			m.Stage = m.Stages[len(m.Stages)-1].Stage
		}
	}
	if f.err != nil && (f.worst == nil || f.worst.Outcome == testvm.Infra) {
		m.Outcome, m.Reason = checks.MachineInfra, firstLine(f.err.Error())
	}
	return m
}

// bootTries are the attempts at the case that the system boots.
type bootTries struct {
	attempts, passes int
	seconds          time.Duration
	last             *testvm.Ending // of the last that failed
	shutdown         *testvm.Ending // the machine that did not power off
	tail             []string
}

func (b *bootTries) passed(took time.Duration) {
	b.attempts++
	b.passes++
	b.seconds = took
}

func (b *bootTries) failed(e testvm.Ending) {
	b.attempts++
	b.last = &e
	b.seconds = e.Duration
}

func (b *bootTries) stage() string {
	if b.last == nil {
		return "boot"
	}
	return string(b.last.Stage)
}

func (b *bootTries) reason() string {
	if b.last == nil {
		return "no machine was started"
	}
	return fmt.Sprintf("%s after stage %s: %s", b.last.Outcome, stageOrNone(b.stage()), b.last.Reason)
}

func stageOrNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// outcome is that of the case that the system boots: that it comes up and,
// when its work is done, powers off.
func (b *bootTries) outcome(r *run) checks.Outcome {
	o := checks.Outcome{
		Status: checks.Pass, Stage: "ready", Machine: r.Machine,
		Attempts: b.attempts, Passes: b.passes, Seconds: b.seconds.Seconds(),
	}
	switch {
	case b.attempts == 0:
		o.Status, o.Infra, o.Stage, o.Reason = checks.Error, true, "boot", "no machine was started"
		if r.fate.err != nil {
			o.Reason = "no machine could be started: " + firstLine(r.fate.err.Error())
		}
	case b.last != nil:
		o.Status, o.Stage, o.Reason, o.Title = checks.Fail, b.stage(), b.reason(), b.last.Title
		o.Trace, o.Tail = frames(b.last.Trace), b.tail
		o.TimedOut = timedOut(*b.last)
		if b.passes > 0 {
			o.Reason = fmt.Sprintf("failed %d of %d times: %s", b.attempts-b.passes, b.attempts, o.Reason)
		}
		if len(b.last.Screenshot) > 0 {
			o.Image = r.save("screen-boot.png", b.last.Screenshot)
		}
	case b.shutdown != nil:
		e := b.shutdown
		o.Status, o.Title, o.Passes = checks.Fail, e.Title, o.Attempts-1
		o.Reason = fmt.Sprintf("it came up, but did not power off well: %s: %s", e.Outcome, e.Reason)
		o.Trace = frames(e.Trace)
	}
	return o
}
