package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// Check settles the cases of one plan. Its fields are its collaborators.
type Check struct {
	Distribution Distribution
	Builder      Builder
	Machines     Machines
	Memo         Memo
	Progress     Progress

	// BuildOnly leaves out installs, boots and tests: they have no result then.
	BuildOnly bool
	// BaseOnDemand looks at base only for what fails at head, as in CI, where
	// the memo of the default branch answers the rest.
	BaseOnDemand bool
	// Again says which remembered outcomes are looked past.
	Again Again
	// HasControl reports whether there is a control kernel.
	HasControl bool
	// Jobs is how many suites run at once; the machines' own budget bounds
	// them further. Zero means 4.
	Jobs int
	// Repro, if set, gives the commands that reproduce a failure; system is the store
	// path of what was booted, empty where there is none.
	Repro func(r *checks.Result, system string) []string
}

// Again says which remembered outcomes are looked past.
type Again int

// What is looked past.
const (
	AgainNothing  Again = iota
	AgainFailures       // an explicit request to look again
	AgainAll            // a nightly run
)

// side holds what is known of one side.
type side struct {
	set      *distro.Set
	err      error // why the side could not be evaluated
	outcomes map[checks.Case]checks.Outcome
	keys     map[checks.Case]string
}

// run is one Settle.
type run struct {
	*Check
	plan  *checks.Plan
	sides map[Side]*side

	mu       sync.Mutex
	machines []checks.Machine
}

// Settle settles every case of the plan and judges it. The Results hold each
// planned case that the plan has not settled itself exactly once, in the plan's
// order, whatever went wrong; the
// error is the context's when it ended early: cases not settled by then
// are error.
func (c *Check) Settle(ctx context.Context, plan *checks.Plan) (*checks.Results, error) {
	todo := *plan
	todo.Cases = open(plan)
	if c.BuildOnly {
		todo.Cases = slices.DeleteFunc(todo.Cases, needsMachine)
	}
	plan = &todo
	r := &run{Check: c, plan: plan, sides: map[Side]*side{}}
	for _, s := range []Side{Head, Base, Control} {
		r.sides[s] = &side{
			set:      &distro.Set{},
			outcomes: map[checks.Case]checks.Outcome{},
			keys:     map[checks.Case]string{},
		}
	}
	r.evaluate(ctx)
	r.settle(ctx, Head, plan.Cases)
	r.commands(ctx, Head)
	r.settle(ctx, Base, r.neededAtBase())
	r.commands(ctx, Base)
	r.repeatFlaky(ctx)
	r.control(ctx)
	// What a remembered case logged counts too.
	checks.Explain(r.sides[Head].outcomes)
	checks.Explain(r.sides[Base].outcomes)
	results := &checks.Results{Schema: checks.SchemaResults, Machines: r.machines, Cases: r.judge(ctx)}
	if results.Machines == nil {
		results.Machines = []checks.Machine{}
	}
	return results, ctx.Err()
}

func needsMachine(p checks.PlannedCase) bool {
	return p.Kind == checks.KindInstall || p.Kind == checks.KindBoot || p.Kind == checks.KindTest
}

// refs are the attributes of the planned cases.
func refs(cases []checks.PlannedCase) []Ref {
	var out []Ref
	seen := map[Ref]bool{}
	for _, p := range cases {
		ref := Ref{p.Of, p.Subject}
		if !seen[ref] && p.Kind != checks.KindLint && !isCommand(p) {
			seen[ref] = true
			out = append(out, ref)
		}
	}
	return out
}

// evaluate evaluates head and base, at the same time.
func (r *run) evaluate(ctx context.Context) {
	want := refs(r.plan.Cases)
	if len(want) == 0 {
		return
	}
	r.Progress.Stage("evaluate", len(want))
	var wg sync.WaitGroup
	for _, s := range []Side{Head, Base} {
		wg.Go(func() {
			set, err := r.Distribution.Evaluate(ctx, s, want)
			if err != nil {
				r.sides[s].err = err
				return
			}
			r.sides[s].set = set
		})
	}
	wg.Wait()
}

// neededAtBase are the cases whose outcome at base has to be known.
func (r *run) neededAtBase() []checks.PlannedCase {
	if !r.BaseOnDemand {
		return r.plan.Cases
	}
	var out []checks.PlannedCase
	for _, p := range r.plan.Cases {
		if r.sides[Head].outcomes[p.Case].Status == checks.Fail || p.Kind == checks.KindEval {
			out = append(out, p)
		}
	}
	return out
}

// settle establishes the cases of one side: from the evaluation, the memo, or
// by building and booting.
func (r *run) settle(ctx context.Context, s Side, cases []checks.PlannedCase) {
	var builds, boots []checks.PlannedCase
	for _, p := range cases {
		if isCommand(p) {
			continue
		}
		switch p.Kind {
		case checks.KindEval:
			r.put(s, p.Case, r.evaluated(s, p))
		case checks.KindBuild:
			builds = append(builds, p)
		case checks.KindInstall, checks.KindBoot, checks.KindTest:
			boots = append(boots, p)
		}
	}
	jobs := r.jobs(s, boots)
	r.build(ctx, s, builds, jobs)
	r.boot(ctx, s, jobs)
}

func (r *run) put(s Side, c checks.Case, o checks.Outcome) {
	r.mu.Lock()
	r.sides[s].outcomes[c] = o
	r.mu.Unlock()
	r.Progress.Settled(s, c, o)
}

func (r *run) get(s Side, c checks.Case) (checks.Outcome, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.sides[s].outcomes[c]
	return o, ok
}

// attr finds an attribute on a side; its absence as an outcome.
func (r *run) attr(s Side, of distro.Kind, name string) (distro.Attr, *checks.Outcome) {
	side := r.sides[s]
	if side.err != nil {
		return distro.Attr{}, &checks.Outcome{
			Status: checks.Error, Infra: true, Stage: "evaluate",
			Reason: fmt.Sprintf("%s could not be evaluated: %s", s, firstLine(side.err.Error())),
		}
	}
	a, ok := side.set.Lookup(of, name)
	switch {
	case ok:
		return a, nil
	case side.set.Failure != nil && s == Base:
		return a, &checks.Outcome{Status: checks.Unknown, Stage: "evaluate",
			Reason: "the attributes of base cannot be listed: " + firstLine(side.set.Failure.Message)}
	case side.set.Failure != nil:
		return a, &checks.Outcome{Status: checks.Fail, Stage: "evaluate",
			Reason: "the attributes cannot be listed: " + firstLine(side.set.Failure.Message), Title: firstLine(side.set.Failure.Message)}
	}
	return a, &checks.Outcome{Status: checks.Absent}
}

func (r *run) evaluated(s Side, p checks.PlannedCase) checks.Outcome {
	a, missing := r.attr(s, p.Of, p.Subject)
	if missing != nil {
		return *missing
	}
	return evalOutcome(a)
}

// evalOutcome turns what an attribute evaluated to into the outcome of the
// case that it evaluates.
func evalOutcome(a distro.Attr) checks.Outcome {
	f := a.Failure
	switch {
	case f == nil:
		return checks.Outcome{Status: checks.Pass, Stage: "evaluate", Attempts: 1, Passes: 1}
	case f.Reason == distro.FailUnavailable:
		return checks.Outcome{Status: checks.Skip, Stage: "evaluate", Reason: "unavailable in this package set: " + firstLine(f.Message)}
	case f.Reason == distro.FailImportFrom:
		// Not broken: it would have to build while it is evaluated, which is not
		// done for code that nobody has reviewed.
		return checks.Outcome{Status: checks.Skip, Stage: "evaluate", Reason: "needs import-from-derivation, which is off: it was not looked at"}
	}
	o := checks.Outcome{
		Status: checks.Fail, Stage: "evaluate", Attempts: 1,
		Reason: "does not evaluate: " + firstLine(f.Message),
		Title:  string(f.Reason) + ": " + firstLine(f.Message),
		Tail:   lastLines(f.Message, 20),
	}
	if f.File != "" {
		o.Reason += fmt.Sprintf(" (%s:%d)", f.File, f.Line)
	}
	return o
}

// job is a Job with the cases it is to settle.
type job struct {
	Job
	attr  distro.Attr
	cases []checks.PlannedCase
}

// jobs groups the cases that need a machine by system; what the memo knows and
// what cannot run is settled here.
func (r *run) jobs(s Side, cases []checks.PlannedCase) []*job {
	var out []*job
	byRef := map[Ref]*job{}
	for _, p := range cases {
		a, missing := r.attr(s, p.Of, p.Subject)
		if missing == nil && a.Failure != nil {
			o := evalOutcome(a)
			if o.Status == checks.Fail {
				o = checks.Outcome{Status: checks.Error, Stage: "evaluate", Reason: "its system does not evaluate"}
			}
			missing = &o
		}
		if missing == nil && p.Kind == checks.KindTest && spec(a, p.Name) == nil {
			missing = &checks.Outcome{Status: checks.Absent}
		}
		if missing != nil {
			r.put(s, p.Case, *missing)
			continue
		}
		ref := Ref{p.Of, p.Subject}
		j := byRef[ref]
		if j == nil {
			j = &job{Job: Job{Side: s, Of: p.Of, Name: p.Subject, Output: output(a)}, attr: a}
			if a.Suite != nil {
				j.Suite = *a.Suite
			}
			byRef[ref] = j
			out = append(out, j)
		}
		key := r.testKey(j.Job, p.Case)
		r.sides[s].keys[p.Case] = key
		if o, ok := r.remembered(s, key); ok {
			r.put(s, p.Case, o)
			continue
		}
		j.cases = append(j.cases, p)
	}
	out = slices.DeleteFunc(out, func(j *job) bool { return len(j.cases) == 0 })
	for _, j := range out {
		j.Suite.Cases = wantedSpecs(j)
	}
	return out
}

// wantedSpecs are the specs a job has to run: all of an ordered suite, where
// cases depend on each other, else those asked for.
func wantedSpecs(j *job) []distro.CaseSpec {
	if j.Suite.Machine == distro.MachineOrdered {
		return j.Suite.Cases
	}
	want := map[string]bool{}
	for _, p := range j.cases {
		if p.Kind == checks.KindTest {
			want[p.Name] = true
		}
	}
	var out []distro.CaseSpec
	for _, c := range j.Suite.Cases {
		if want[c.Name] || c.Smoke && j.Side == Control {
			out = append(out, c)
		}
	}
	return out
}

func spec(a distro.Attr, name string) *distro.CaseSpec {
	if a.Suite == nil {
		return nil
	}
	for i := range a.Suite.Cases {
		if a.Suite.Cases[i].Name == name {
			return &a.Suite.Cases[i]
		}
	}
	return nil
}

// output is the store path that is booted: the output called out, or the only
// one.
func output(a distro.Attr) string {
	if p, ok := a.Outputs["out"]; ok {
		return p
	}
	for _, name := range sortedKeys(a.Outputs) {
		return a.Outputs[name]
	}
	return ""
}

// remembered asks the memo. A base that passed is good enough for any request
// to look again at head.
func (r *run) remembered(s Side, key string) (checks.Outcome, bool) {
	if s == Head && r.Again == AgainAll {
		return checks.Outcome{}, false
	}
	o, ok := r.Memo.Load(key)
	if ok && r.Again != AgainNothing && o.Status != checks.Pass {
		return checks.Outcome{}, false
	}
	return o, ok
}

// build builds what is to be built, and the systems of the jobs.
func (r *run) build(ctx context.Context, s Side, cases []checks.PlannedCase, jobs []*job) {
	type target struct {
		want Want
		of   []checks.PlannedCase // the cases it settles; none for a system that is only needed
	}
	targets := map[Ref]*target{}
	var order []Ref
	add := func(ref Ref, a distro.Attr) *target {
		t := targets[ref]
		if t == nil {
			t = &target{want: Want{s, a}}
			targets[ref] = t
			order = append(order, ref)
		}
		return t
	}
	for _, j := range jobs {
		add(Ref{j.Of, j.Name}, j.attr)
	}
	for _, p := range cases {
		a, missing := r.attr(s, p.Of, p.Subject)
		if missing == nil && a.Failure != nil {
			o := evalOutcome(a)
			if o.Status == checks.Fail {
				o = checks.Outcome{Status: checks.Error, Stage: "evaluate", Reason: "does not evaluate, so it cannot be built"}
			}
			missing = &o
		}
		if missing != nil {
			r.put(s, p.Case, *missing)
			continue
		}
		ref := Ref{p.Of, p.Subject}
		key := buildKey(a)
		r.sides[s].keys[p.Case] = key
		if o, ok := r.remembered(s, key); ok && targets[ref] == nil {
			r.put(s, p.Case, o)
			continue
		}
		t := add(ref, a)
		t.of = append(t.of, p)
	}
	if len(order) == 0 {
		return
	}
	r.Progress.Stage("build "+string(s), len(order))
	wants := make([]Want, 0, len(order))
	for _, ref := range order {
		wants = append(wants, targets[ref].want)
	}
	built := map[Ref]checks.Outcome{}
	err := r.Builder.Build(ctx, wants, func(w Want, o checks.Outcome) {
		ref := Ref{w.Attr.Kind, w.Attr.Name}
		built[ref] = o
		for _, p := range targets[ref].of {
			r.store(s, p.Case, o)
			r.put(s, p.Case, o)
		}
	})
	for _, ref := range order {
		if _, ok := built[ref]; ok {
			continue
		}
		o := notSettled(ctx, err, "build")
		built[ref] = o
		for _, p := range targets[ref].of {
			r.put(s, p.Case, o)
		}
	}
	for _, j := range jobs {
		o := built[Ref{j.Of, j.Name}]
		if o.Status == checks.Pass {
			continue
		}
		for _, p := range j.cases {
			r.put(s, p.Case, checks.Outcome{
				Status: checks.Error, Stage: "build", Infra: o.Infra,
				Reason: fmt.Sprintf("the %s %s could not be built, so nothing could be run in it", systemWord(j.Of), j.Name),
			})
		}
		j.cases = nil
	}
}

func systemWord(k distro.Kind) string {
	if k == distro.KindImage {
		return "image"
	}
	return "system of"
}

// store remembers an outcome under its key.
func (r *run) store(s Side, c checks.Case, o checks.Outcome) {
	r.mu.Lock()
	key := r.sides[s].keys[c]
	r.mu.Unlock()
	if key != "" {
		r.Memo.Store(key, o)
		if o.Seconds > 0 && o.Remembered == nil {
			r.Memo.Store(DurationKey(c), checks.Outcome{Status: checks.Pass, Seconds: o.Seconds})
		}
	}
}

// DurationKey is where the memo keeps how long a case took the last time, whatever it was
// made of then.
func DurationKey(c checks.Case) string { return key("took", c) }

// boot runs the jobs, a few at a time.
func (r *run) boot(ctx context.Context, s Side, jobs []*job) {
	var n int
	jobs = slices.DeleteFunc(jobs, func(j *job) bool { return len(j.cases) == 0 })
	for _, j := range jobs {
		n += len(j.cases)
	}
	if n == 0 {
		return
	}
	r.Progress.Stage("boot "+string(s), n)
	limit := r.Jobs
	if limit <= 0 {
		limit = 4
	}
	gate := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for _, j := range jobs {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			r.runJob(ctx, s, j)
		})
	}
	wg.Wait()
}

func (r *run) runJob(ctx context.Context, s Side, j *job) {
	wanted := map[checks.Case]bool{}
	for _, p := range j.cases {
		wanted[p.Case] = true
	}
	var mu sync.Mutex
	settled := map[checks.Case]bool{}
	settle := func(c checks.Case, o checks.Outcome) {
		mu.Lock()
		again := settled[c]
		settled[c] = true
		mu.Unlock()
		if again {
			return
		}
		if o.Remembered == nil && !wanted[c] {
			r.mu.Lock()
			r.sides[s].outcomes[c] = o // a smoke case that came along
			r.mu.Unlock()
			return
		}
		r.store(s, c, o)
		r.put(s, c, o)
	}
	ran, err := r.Machines.Run(ctx, j.Job, settle)
	r.mu.Lock()
	r.machines = append(r.machines, ran.Machines...)
	r.mu.Unlock()
	for c, o := range ran.Outcomes {
		settle(c, o)
	}
	for _, p := range j.cases {
		mu.Lock()
		done := settled[p.Case]
		mu.Unlock()
		if !done {
			r.put(s, p.Case, notSettled(ctx, err, "boot"))
		}
	}
}

// notSettled is the outcome of a case that nobody settled.
func notSettled(ctx context.Context, err error, stage string) checks.Outcome {
	o := checks.Outcome{Status: checks.Error, Stage: stage, Infra: true, Reason: "no result came back"}
	switch {
	case ctx.Err() != nil:
		o.Reason = "the check was stopped before this was settled"
	case err != nil:
		o.Reason = "could not look: " + firstLine(err.Error())
		o.Tail = lastLines(err.Error(), 20)
	}
	return o
}

// repeatFlaky runs at base, as often as at head, the cases that failed now and
// then at head: only then can a flaky case be told from a regression.
func (r *run) repeatFlaky(ctx context.Context) {
	byRef := map[Ref]*job{}
	var jobs []*job
	for _, p := range r.plan.Cases {
		head, _ := r.get(Head, p.Case)
		base, ok := r.get(Base, p.Case)
		mixed := head.Passes > 0 && head.Passes < head.Attempts
		if p.Kind != checks.KindTest || !mixed || !ok || base.Status != checks.Pass || base.Attempts >= head.Attempts {
			continue
		}
		a, missing := r.attr(Base, p.Of, p.Subject)
		if missing != nil || a.Suite == nil {
			continue
		}
		ref := Ref{p.Of, p.Subject}
		j := byRef[ref]
		if j == nil {
			j = &job{Job: Job{Side: Base, Of: p.Of, Name: p.Subject, Output: output(a), Suite: *a.Suite}, attr: a}
			byRef[ref] = j
			jobs = append(jobs, j)
		}
		j.Attempts = max(j.Attempts, head.Attempts)
		j.cases = append(j.cases, p)
	}
	if len(jobs) == 0 {
		return
	}
	for _, j := range jobs {
		j.Suite.Cases = wantedSpecs(j)
	}
	r.build(ctx, Base, nil, jobs)
	r.boot(ctx, Base, jobs)
}

// control runs what fails at head on the control kernel.
func (r *run) control(ctx context.Context) {
	if !r.HasControl || r.BuildOnly {
		return
	}
	var failing []checks.PlannedCase
	for _, p := range r.plan.Cases {
		o, _ := r.get(Head, p.Case)
		if o.Status != checks.Fail {
			continue
		}
		switch p.Kind {
		case checks.KindBoot, checks.KindTest:
			failing = append(failing, p)
		}
	}
	if len(failing) == 0 || ctx.Err() != nil {
		return
	}
	want := refs(failing)
	set, err := r.Distribution.Evaluate(ctx, Control, want)
	if err != nil {
		r.sides[Control].err = err
		r.Progress.Note("the control kernel could not be used: " + firstLine(err.Error()))
		return
	}
	r.sides[Control].set = set
	// What a control says counts only when it boots.
	for _, ref := range want {
		boot := checks.PlannedCase{Case: boots(ref.Kind, ref.Name)}
		if !slices.ContainsFunc(failing, func(p checks.PlannedCase) bool { return p.Case == boot.Case }) {
			failing = append(failing, boot)
		}
		a, _ := r.attr(Control, ref.Kind, ref.Name)
		if a.Suite == nil {
			continue
		}
		for _, c := range a.Suite.Cases {
			p := checks.PlannedCase{Case: test(ref.Kind, ref.Name, c.Name)}
			if c.Smoke && !slices.ContainsFunc(failing, func(q checks.PlannedCase) bool { return p.Case == q.Case }) {
				failing = append(failing, p)
			}
		}
	}
	r.settle(ctx, Control, failing)
}

// controlReady reports whether the control of a system booted and passed its
// smoke cases.
func (r *run) controlReady(of distro.Kind, subject string) bool {
	boot, ok := r.get(Control, boots(of, subject))
	if !ok || boot.Status != checks.Pass {
		return false
	}
	a, missing := r.attr(Control, of, subject)
	if missing != nil || a.Suite == nil {
		return false
	}
	for _, c := range a.Suite.Cases {
		if !c.Smoke {
			continue
		}
		o, _ := r.get(Control, test(of, subject, c.Name))
		if o.Status != checks.Pass {
			return false
		}
	}
	return true
}

// testKey is what the outcome of a case in a machine depends on.
func (r *run) testKey(j Job, c checks.Case) string {
	specs := j.Suite.Cases
	if j.Suite.Machine != distro.MachineOrdered {
		specs = slices.DeleteFunc(slices.Clone(specs), func(s distro.CaseSpec) bool { return s.Name != c.Name })
	}
	suite := j.Suite
	suite.Cases, suite.Owner = specs, ""
	return key("run", c.Kind, c.Of, c.Name, j.Output, suite, r.Machines.Profile(j))
}

// buildKey is what the outcome of a build depends on.
func buildKey(a distro.Attr) string { return key("build", a.Drv, a.Outputs) }

func key(parts ...any) string {
	h := sha256.New()
	// Encoding a map sorts its keys.
	if err := json.NewEncoder(h).Encode(parts); err != nil {
		panic(err) // only types that cannot be encoded
	}
	return hex.EncodeToString(h.Sum(nil))
}

func firstLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	return s
}

func lastLines(s string, n int) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func boots(of distro.Kind, subject string) checks.Case {
	return checks.Case{Kind: checks.KindBoot, Of: of, Subject: subject, Name: "boots"}
}

func test(of distro.Kind, subject, name string) checks.Case {
	return checks.Case{Kind: checks.KindTest, Of: of, Subject: subject, Name: name}
}
