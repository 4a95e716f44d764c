// Package suite settles the cases of a suite: in machines of ours, or through
// a command.
//
// A Job runs the cases of a distro.Suite in machines that a Lab boots, and
// turns what happened into one outcome for each case. However the guest ends,
// each case has an outcome:
//
//	job := suite.Job{Of: distro.KindSuite, Name: "base", Suite: s, Retries: 2, Dir: dir}
//	ran, err := job.Run(ctx, lab, func(c checks.Case, o checks.Outcome) { ... })
//
// QEMU is a Lab made of testvm machines. A Command runs a configured command
// instead and reads its results as nixos-test, TAP or JUnit.
package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/testvm"
	"github.com/asterinas/asterbot/testvm/console"
)

// Lab boots machines of one system.
type Lab interface {
	// Boot returns a machine that waits for commands. A guest that ended before
	// it came so far is a *BootError. Other errors are ours.
	Boot(ctx context.Context) (Machine, error)
}

// Machine is a machine that waits for commands.
type Machine interface {
	// Run runs a command. An error that wraps testvm.ErrGuestEnded says that
	// the machine is gone; End tells how.
	Run(ctx context.Context, c testvm.Command) (testvm.Result, error)
	// Screenshot returns a PNG of the screen.
	Screenshot(ctx context.Context) ([]byte, error)
	// End ends the machine, if it has not ended, and says how it fared: by
	// powering off if that is to be tried, else at once.
	End(ctx context.Context, powerOff bool) testvm.Ending
	// Forked reports whether it is a fork of a machine that was booted.
	Forked() bool
	// Oops returns the oops that the kernel has reported and survived, if any.
	Oops() *console.Crash
}

// BootError is a guest that ended before it was ready.
type BootError struct {
	Ending testvm.Ending
	// Tail is what its consoles said last.
	Tail []string
}

func (e *BootError) Error() string { return "boot: " + e.Ending.Reason }

// Job is a suite to be run in machines of one kind.
type Job struct {
	// Of and Name are those of the attribute the cases are about.
	Of   distro.Kind
	Name string
	// Machine is what the machines are called in the results.
	Machine string
	// Profile is the name of their profile.
	Profile string
	Suite   distro.Suite
	// Attempts is how often at least each case is run; zero means once.
	Attempts int
	// Retries is how often a case that failed is run again, each time on a
	// fresh machine.
	Retries int
	// Hangs, if set, are shared with the jobs of other systems on the same kernel.
	Hangs *Hangs
	// Parallel is how many machines may run at once; zero means 2. The memory
	// budget bounds them further.
	Parallel int
	// BootOnly lets a guest pass that powers off well by itself, without
	// having given a shell: how far it came is all that is asked.
	BootOnly bool
	// Tried, if set, is told of each attempt as it ends, one at a time.
	Tried func(checks.Case, checks.Outcome)
	// Dir is the folder for logs and screenshots, Prefix how a report refers
	// to it. Without Dir none are kept.
	Dir, Prefix string
}

// Ran is what came of a Job.
type Ran struct {
	Outcomes map[checks.Case]checks.Outcome
	Machine  checks.Machine
}

// Case is the case of one test of the job.
func (j Job) Case(name string) checks.Case {
	return checks.Case{Kind: checks.KindTest, Of: j.Of, Subject: j.Name, Name: name}
}

// Boots is the case that the system comes up, and goes down again.
func (j Job) Boots() checks.Case {
	return checks.Case{Kind: checks.KindBoot, Of: j.Of, Subject: j.Name, Name: "boots"}
}

// Check reports what is wrong with the suite itself: a case without a name or
// anything to do, a name twice, an expectation that is no regular expression.
func Check(s distro.Suite) error {
	seen := map[string]bool{}
	var errs []error
	for i, c := range s.Cases {
		if problem := checkCase(c); problem != "" {
			errs = append(errs, fmt.Errorf("case %d (%q): %s", i+1, c.Name, problem))
		}
		if seen[c.Name] {
			errs = append(errs, fmt.Errorf("case %d: the name %q is taken", i+1, c.Name))
		}
		seen[c.Name] = true
	}
	switch s.Machine {
	case "", distro.MachineShared, distro.MachineFresh, distro.MachineOrdered:
	default:
		errs = append(errs, fmt.Errorf("machine is %q: it can be shared, fresh or ordered", s.Machine))
	}
	return errors.Join(errs...)
}

func checkCase(c distro.CaseSpec) string {
	switch {
	case strings.TrimSpace(c.Name) == "":
		return "it has no name"
	case c.Run == "" && c.Screen == "":
		return "it has neither run nor screen"
	case c.Screen != "" && c.Screen != screenNotBlank:
		return fmt.Sprintf("screen is %q: it can be %q", c.Screen, screenNotBlank)
	case c.Status < 0 || c.Status > 255:
		return fmt.Sprintf("status is %d: it can be 0 to 255", c.Status)
	case c.Timeout < 0:
		return "timeout is negative"
	}
	if _, err := expectation(c); err != nil {
		return err.Error()
	}
	return ""
}

func expectation(c distro.CaseSpec) (*regexp.Regexp, error) {
	if c.Expect == "" {
		return nil, nil
	}
	re, err := regexp.Compile("(?m)" + c.Expect)
	if err != nil {
		return nil, fmt.Errorf("expect is no regular expression: %w", err)
	}
	return re, nil
}

// run is one Job at work.
type run struct {
	Job
	lab     Lab
	settled func(checks.Case, checks.Outcome)

	mu    sync.Mutex
	tries map[string][]checks.Outcome // of each test, in order of the attempts
	told  map[checks.Case]bool        // what settled was told early
	boot  bootTries
	fate  fate
}

// Run runs the cases. settled, if not nil, is called for each case as it
// is settled. The error says that we could not look at some: they are in Ran as
// errors all the same.
func (j Job) Run(ctx context.Context, lab Lab, settled func(checks.Case, checks.Outcome)) (Ran, error) {
	if settled == nil {
		settled = func(checks.Case, checks.Outcome) {}
	}
	r := &run{Job: j, lab: lab, settled: settled, tries: map[string][]checks.Outcome{}, told: map[checks.Case]bool{}}
	start := time.Now()
	first := r.firstMachine(ctx)
	if first != nil {
		r.rounds(ctx, first)
	}
	out := r.outcomes(ctx)
	checks.Explain(out)
	for _, c := range append([]checks.Case{r.Boots()}, r.tests()...) {
		if !r.told[c] {
			settled(c, out[c])
		}
	}
	machine := r.fate.machine(j)
	machine.Seconds = time.Since(start).Seconds()
	return Ran{Outcomes: out, Machine: machine}, r.fate.err
}

// rounds runs every case as often as it needs.
func (r *run) rounds(ctx context.Context, first Machine) {
	specs := r.Suite.Cases
	switch r.Suite.Machine {
	case distro.MachineFresh:
		r.each(ctx, first, specs)
	default:
		r.sequence(ctx, first, specs)
	}
	for round := 1; round <= max(r.Retries, r.Attempts-1) && ctx.Err() == nil; round++ {
		again := r.again(round)
		if len(again) == 0 {
			return
		}
		if r.Suite.Machine == distro.MachineOrdered {
			r.sequence(ctx, nil, specs)
			continue
		}
		r.each(ctx, nil, again)
	}
}

// again are the cases to be run once more: all of them until there were enough
// attempts, then those that failed.
func (r *run) again(round int) []distro.CaseSpec {
	var out []distro.CaseSpec
	for _, c := range r.Suite.Cases {
		failed, waited := 0, 0
		for _, o := range r.tries[c.Name] {
			if o.Status == checks.Fail {
				failed++
			}
			if o.TimedOut {
				waited++
			}
		}
		if len(r.tries[c.Name]) > 0 && (round < r.Attempts || failed > 0 && round <= r.Retries) && waited <= maxWaits {
			out = append(out, c)
		}
	}
	return out
}

// firstMachine boots the first machine: whether that works is a case. A
// failure is looked at again, as that of any case is.
func (r *run) firstMachine(ctx context.Context) Machine {
	waits := 0
	for try := 0; try <= r.Retries && waits <= maxWaits && ctx.Err() == nil; try++ {
		m, ok := r.machine(ctx, true)
		if !ok || m != nil || r.boot.passes > 0 {
			return m
		}
		if e := r.boot.last; e != nil && timedOut(*e) {
			waits++
			if r.Hangs.again(r.Profile + ": " + e.Title) {
				break
			}
		}
	}
	return nil
}

// machine boots a machine. A guest that does not come up gives none; false is
// a failure of ours, after it was tried twice.
func (r *run) machine(ctx context.Context, first bool) (Machine, bool) {
	var err error
	for range 2 {
		var m Machine
		start := time.Now()
		m, err = r.lab.Boot(ctx)
		var failed *BootError
		switch {
		case err == nil:
			r.mu.Lock()
			r.fate.up(m)
			if first {
				took := time.Since(start)
				if t, ok := m.(interface{ BootTime() time.Duration }); ok {
					took = t.BootTime()
				}
				r.boot.passed(took)
			}
			r.mu.Unlock()
			return m, true
		case errors.As(err, &failed) && failed.Ending.Outcome != testvm.Infra:
			r.didNotComeUp(failed)
			return nil, true
		}
		if ctx.Err() != nil {
			break
		}
	}
	r.mu.Lock()
	r.fate.infra(err)
	r.mu.Unlock()
	return nil, false
}

// didNotComeUp takes in a guest that ended before it gave a shell.
func (r *run) didNotComeUp(failed *BootError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := failed.Ending
	r.boot.tail = failed.Tail
	if e.Outcome == testvm.OK && r.BootOnly {
		r.fate.ended(e, true)
		r.boot.passed(e.Duration)
		return
	}
	if e.Outcome == testvm.OK {
		e.Outcome, e.Title, e.Reason = testvm.Shutdown, "powered off before a shell", "it powered off before it gave a shell"
	}
	r.fate.ended(e, true)
	r.boot.failed(e)
}

// sequence runs cases one after another in one machine, and goes on in a new
// one when it ends, unless the cases build on each other.
func (r *run) sequence(ctx context.Context, m Machine, specs []distro.CaseSpec) {
	for i := 0; i < len(specs) && ctx.Err() == nil; i++ {
		if r.hopeless() {
			r.givenUp(specs[i:])
			break
		}
		if m == nil {
			var ok bool
			if m, ok = r.machine(ctx, false); m == nil {
				r.unsettled(specs[i:], ok)
				return
			}
		}
		o, alive := r.one(ctx, m, specs[i])
		if !alive {
			m = nil
			if o.Infra {
				o = r.infraAgain(ctx, specs[:i+1], o, &m)
			}
		}
		r.add(specs[i], o)
		if m == nil && r.Suite.Machine == distro.MachineOrdered {
			r.lost(specs[i+1:], specs[i].Name)
			return
		}
	}
	if m != nil {
		r.finish(ctx, m)
	}
}

// infraAgain runs a case once more, silently, after our own failure: in an
// ordered suite with all before it.
func (r *run) infraAgain(ctx context.Context, upTo []distro.CaseSpec, o checks.Outcome, m *Machine) checks.Outcome {
	fresh, _ := r.machine(ctx, false)
	if fresh == nil {
		return o
	}
	if r.Suite.Machine != distro.MachineOrdered {
		upTo = upTo[len(upTo)-1:]
	}
	var alive bool
	for _, c := range upTo {
		if o, alive = r.one(ctx, fresh, c); !alive {
			return o
		}
	}
	*m = fresh
	return o
}

// finish powers a machine off: that is part of what a system has to do.
func (r *run) finish(ctx context.Context, m Machine) {
	if r.Suite.Graphical {
		if png, err := m.Screenshot(ctx); err == nil {
			r.mu.Lock()
			r.fate.shots = append(r.fate.shots, r.save("screen-at-end.png", png))
			r.mu.Unlock()
		}
	}
	e := m.End(ctx, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fate.ended(e, false)
	if e.Outcome != testvm.OK && e.Outcome != testvm.Oops && e.Outcome != testvm.Infra && ctx.Err() == nil {
		r.boot.shutdown = &e
	}
}

// each runs every case in a machine of its own, some at a time.
func (r *run) each(ctx context.Context, first Machine, specs []distro.CaseSpec) {
	gate := make(chan struct{}, max(1, cmp.Or(r.Parallel, 2)))
	var wg sync.WaitGroup
	for i, c := range specs {
		var m Machine
		if i == 0 {
			m = first
		}
		last := i == len(specs)-1
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			r.alone(ctx, m, c, first != nil && last)
		})
	}
	wg.Wait()
}

// alone runs one case in a machine of its own.
func (r *run) alone(ctx context.Context, m Machine, c distro.CaseSpec, powerOff bool) {
	for try := range 2 {
		if m == nil {
			if r.hopeless() {
				r.givenUp([]distro.CaseSpec{c})
				return
			}
			var ok bool
			if m, ok = r.machine(ctx, false); m == nil {
				r.unsettled([]distro.CaseSpec{c}, ok)
				return
			}
		}
		o, alive := r.one(ctx, m, c)
		if !alive && o.Infra && try == 0 && ctx.Err() == nil {
			m = nil
			continue
		}
		r.add(c, o)
		switch {
		case alive && powerOff:
			r.finish(ctx, m)
		case alive:
			e := m.End(ctx, false)
			r.mu.Lock()
			r.fate.ended(e, false)
			r.mu.Unlock()
		}
		return
	}
}

// one runs a case in a machine, and reports whether the machine is fit for
// more.
func (r *run) one(ctx context.Context, m Machine, c distro.CaseSpec) (checks.Outcome, bool) {
	o, alive := r.try(ctx, m, c)
	if alive {
		return o, true
	}
	e := m.End(ctx, false)
	r.mu.Lock()
	r.fate.ended(e, false)
	r.mu.Unlock()
	if o.Status == "" {
		o = r.endedIn(c, o, e)
	}
	return o, false
}

// add keeps an attempt.
func (r *run) add(c distro.CaseSpec, o checks.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Machine = r.Machine
	if o.Status == checks.Fail {
		o.Log = r.saveCase(c, o, len(r.tries[c.Name])+1)
	}
	r.tries[c.Name] = append(r.tries[c.Name], o)
	if r.Tried != nil {
		r.Tried(r.Case(c.Name), o)
	}
	if len(r.tries[c.Name]) == 1 && o.Status == checks.Pass && r.Attempts <= 1 && r.Suite.Machine != distro.MachineOrdered {
		r.told[r.Case(c.Name)] = true
		r.settled(r.Case(c.Name), count([]checks.Outcome{o}))
	}
}

// tests are the cases of the suite, in order.
func (r *run) tests() []checks.Case {
	var out []checks.Case
	for _, c := range r.Suite.Cases {
		out = append(out, r.Case(c.Name))
	}
	return out
}

// unsettled makes errors of cases for which there was no machine.
func (r *run) unsettled(specs []distro.CaseSpec, guests bool) {
	for _, c := range specs {
		o := checks.Outcome{Status: checks.Error, Stage: "boot", Reason: "no machine came up to run it in", Machine: r.Machine}
		if !guests {
			o.Infra = true
			o.Reason = "no machine could be started: " + firstLine(r.fate.err.Error())
		}
		r.mu.Lock()
		if len(r.tries[c.Name]) == 0 {
			r.tries[c.Name] = append(r.tries[c.Name], o)
		}
		r.mu.Unlock()
	}
}

// lost makes errors of the rest of an ordered sequence.
func (r *run) lost(specs []distro.CaseSpec, after string) {
	for _, c := range specs {
		r.mu.Lock()
		if len(r.tries[c.Name]) == 0 {
			r.tries[c.Name] = append(r.tries[c.Name], checks.Outcome{
				Status: checks.Error, Stage: "test", Machine: r.Machine,
				Reason: fmt.Sprintf("not run: the machine ended during %q, and these cases build on each other", after),
			})
		}
		r.mu.Unlock()
	}
}

// outcomes puts the attempts together.
func (r *run) outcomes(ctx context.Context) map[checks.Case]checks.Outcome {
	out := map[checks.Case]checks.Outcome{r.Boots(): r.boot.outcome(r)}
	for _, c := range r.Suite.Cases {
		tries := r.tries[c.Name]
		switch {
		case len(tries) > 0:
			out[r.Case(c.Name)] = count(tries)
		case ctx.Err() != nil:
			out[r.Case(c.Name)] = checks.Outcome{Status: checks.Error, Infra: true, Stage: "test", Reason: "stopped before it was run"}
		case r.fate.err != nil:
			out[r.Case(c.Name)] = checks.Outcome{Status: checks.Error, Infra: true, Stage: "boot",
				Reason: "no machine could be started: " + firstLine(r.fate.err.Error())}
		default:
			out[r.Case(c.Name)] = checks.Outcome{Status: checks.Error, Stage: r.boot.stage(), Machine: r.Machine,
				Reason: "not run: the system did not come up (" + r.boot.reason() + ")"}
		}
	}
	return out
}

// count makes one outcome of all attempts: the last failure, if there is one.
// Attempts that were errors do not count beside others.
func count(tries []checks.Outcome) checks.Outcome {
	var shown *checks.Outcome
	attempts, passes := 0, 0
	for i := range tries {
		o := &tries[i]
		switch o.Status {
		case checks.Pass:
			passes++
			attempts++
		case checks.Fail:
			attempts++
			shown = o
		}
	}
	if shown == nil {
		shown = &tries[len(tries)-1]
		for i := range tries {
			if tries[i].Status == checks.Pass {
				shown = &tries[i]
			}
		}
	}
	o := *shown
	o.Attempts, o.Passes = attempts, passes
	if passes > 0 && passes < attempts {
		o.Reason = fmt.Sprintf("failed %d of %d times: %s", attempts-passes, attempts, o.Reason)
	}
	return o
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
