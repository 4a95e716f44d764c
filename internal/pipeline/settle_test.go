package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// world is a distribution, a builder and machines in memory. What a test sets
// is how things go; what it reads is what was done.
type world struct {
	sets     map[pipeline.Side]*distro.Set
	evalErr  map[pipeline.Side]error
	builds   map[string]checks.Status // by attribute, "side/attr" first
	buildErr error
	tests    map[string][]bool // "side/suite/case": how the attempts go, the last repeats
	runErr   error
	commands map[pipeline.Side]map[string]bool // what a suite's command reports
	kernel   map[string][]string               // kernel lines by "side/suite/case"

	mu    sync.Mutex
	built []string
	ran   []string
	memo  map[string]checks.Outcome
}

func (w *world) Evaluate(_ context.Context, s pipeline.Side, refs []pipeline.Ref) (*distro.Set, error) {
	if err := w.evalErr[s]; err != nil {
		return nil, err
	}
	set := w.sets[s]
	out := &distro.Set{Failure: set.Failure}
	for _, a := range set.Attrs {
		if slices.Contains(refs, pipeline.Ref{Kind: a.Kind, Name: a.Name}) {
			out.Attrs = append(out.Attrs, a)
		}
	}
	return out, nil
}

func (w *world) Build(_ context.Context, wants []pipeline.Want, done func(pipeline.Want, checks.Outcome)) error {
	for _, want := range wants {
		name := string(want.Side) + "/" + want.Attr.Name
		w.built = append(w.built, name)
		status, ok := w.builds[name]
		if !ok {
			status = checks.Pass
		}
		if status == checks.Unknown {
			continue // lost
		}
		done(want, checks.Outcome{Status: status, Stage: "build", Reason: "builder said so", Attempts: 1})
	}
	return w.buildErr
}

func (w *world) Profile(pipeline.Job) string { return "linux" }

func (w *world) Run(_ context.Context, j pipeline.Job, done func(checks.Case, checks.Outcome)) (pipeline.Ran, error) {
	out := pipeline.Ran{Outcomes: map[checks.Case]checks.Outcome{}}
	put := func(c checks.Case, o checks.Outcome) {
		out.Outcomes[c] = o
		done(c, o)
	}
	if j.Command {
		put(checks.Case{Kind: checks.KindBoot, Of: j.Of, Subject: j.Name, Name: "runs"}, checks.Outcome{Status: checks.Pass})
		for name, ok := range w.commands[j.Side] {
			o := checks.Outcome{Status: checks.Pass}
			if !ok {
				o = checks.Outcome{Status: checks.Fail, Reason: "it said no"}
			}
			put(checks.Case{Kind: checks.KindTest, Of: j.Of, Subject: j.Name, Name: name}, o)
		}
		return out, w.runErr
	}
	put(checks.Case{Kind: checks.KindBoot, Of: j.Of, Subject: j.Name, Name: "boots"}, checks.Outcome{Status: checks.Pass, Stage: "ready"})
	for _, spec := range j.Suite.Cases {
		name := string(j.Side) + "/" + j.Name + "/" + spec.Name
		w.mu.Lock()
		w.ran = append(w.ran, name)
		w.mu.Unlock()
		goes, ok := w.tests[name]
		if !ok {
			goes = []bool{true}
		}
		o := checks.Outcome{Status: checks.Pass, Stage: "test", Machine: string(j.Side) + "/" + j.Name, Kernel: w.kernel[name]}
		tries := max(1, j.Attempts)
		for i := 0; i < tries; i++ {
			o.Attempts++
			if goes[min(i, len(goes)-1)] {
				o.Passes++
			} else if tries == 1 {
				tries = 3 // a failure is looked at again
			}
		}
		if o.Passes < o.Attempts {
			exit := 1
			o.Status, o.Reason, o.Title, o.Exit = checks.Fail, "it said no", "it said no", &exit
		}
		put(checks.Case{Kind: checks.KindTest, Of: j.Of, Subject: j.Name, Name: spec.Name}, o)
	}
	return out, w.runErr
}

func (w *world) Load(key string) (checks.Outcome, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.memo[key]
	return o, ok
}

func (w *world) Store(key string, o checks.Outcome) {
	if o.Status == checks.Error {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	o.Remembered = &at
	w.memo[key] = o
}

func pkg(name, out string) distro.Attr {
	return distro.Attr{Kind: distro.KindPackage, Name: name, Drv: "/nix/store/" + out + ".drv", Outputs: map[string]string{"out": "/nix/store/" + out}}
}

func suite(name, out string, cases ...string) distro.Attr {
	a := distro.Attr{Kind: distro.KindSuite, Name: name, Drv: "/nix/store/" + out + ".drv", Outputs: map[string]string{"out": "/nix/store/" + out}, Suite: &distro.Suite{}}
	for _, c := range cases {
		a.Suite.Cases = append(a.Suite.Cases, distro.CaseSpec{Name: c, Smoke: c == "smoke"})
	}
	return a
}

// newWorld has a package and a suite that differ between base and head.
func newWorld() *world {
	return &world{
		sets: map[pipeline.Side]*distro.Set{
			pipeline.Base:    {Attrs: []distro.Attr{pkg("lua", "lua-base"), suite("base", "sys-base", "smoke", "lua")}},
			pipeline.Head:    {Attrs: []distro.Attr{pkg("lua", "lua-head"), suite("base", "sys-head", "smoke", "lua")}},
			pipeline.Control: {Attrs: []distro.Attr{suite("base", "sys-control", "smoke", "lua")}},
		},
		memo:  map[string]checks.Outcome{},
		tests: map[string][]bool{},
	}
}

func planned() *checks.Plan {
	c := func(k checks.Kind, of distro.Kind, subject, name string) checks.PlannedCase {
		return checks.PlannedCase{Case: checks.Case{Kind: k, Of: of, Subject: subject, Name: name}}
	}
	return &checks.Plan{Cases: []checks.PlannedCase{
		c(checks.KindEval, distro.KindPackage, "lua", "evaluates"),
		c(checks.KindBuild, distro.KindPackage, "lua", "builds"),
		c(checks.KindBoot, distro.KindSuite, "base", "boots"),
		c(checks.KindTest, distro.KindSuite, "base", "smoke"),
		c(checks.KindTest, distro.KindSuite, "base", "lua"),
	}}
}

func settle(t *testing.T, w *world, edit func(*pipeline.Check)) map[string]checks.Result {
	t.Helper()
	c := &pipeline.Check{Distribution: w, Builder: w, Machines: w, Memo: w, Progress: pipeline.NoProgress{}, HasControl: true}
	if edit != nil {
		edit(c)
	}
	res, err := c.Settle(t.Context(), planned())
	require.NoError(t, err)
	require.Len(t, res.Cases, len(planned().Cases), "each planned case has a result")
	out := map[string]checks.Result{}
	for _, r := range res.Cases {
		out[string(r.Kind)+" "+r.Name] = r
	}
	return out
}

func TestWhatWorksPasses(t *testing.T) {
	got := settle(t, newWorld(), nil)
	for name, r := range got {
		assert.Equal(t, checks.Passing, r.Verdict, name)
	}
}

func TestARegressionIsBlamedByTheControl(t *testing.T) {
	w := newWorld()
	w.tests["head/base/lua"] = []bool{false}
	w.kernel = map[string][]string{
		"head/base/smoke": {"Unimplemented syscall number: 334"},
		"head/base/lua":   {"Unimplemented syscall number: 334", "unsupported flags: MSG_PEEK"},
	}
	r := settle(t, w, nil)["test lua"]
	assert.Equal(t, checks.Regressed, r.Verdict)
	assert.Equal(t, checks.BlameKernel, r.Blame)
	assert.Equal(t, checks.Pass, r.Control)
	assert.Equal(t, []string{"unsupported flags: MSG_PEEK"}, r.Likely, "only what no passing case logged")

	w.tests["control/base/lua"] = []bool{false}
	assert.Equal(t, checks.BlamePackage, settle(t, w, func(c *pipeline.Check) { c.Memo = pipeline.NoMemo{} })["test lua"].Blame)

	w.tests["control/base/smoke"] = []bool{false}
	assert.Equal(t, checks.BlameUnknown, settle(t, w, func(c *pipeline.Check) { c.Memo = pipeline.NoMemo{} })["test lua"].Blame,
		"a control that fails a smoke case says nothing")
}

func TestFlaky(t *testing.T) {
	w := newWorld()
	w.tests["head/base/lua"] = []bool{false, true, true}
	r := settle(t, w, nil)["test lua"]
	assert.Equal(t, checks.Regressed, r.Verdict, "now and then at head, never at base")
	assert.Equal(t, 3, r.WasAttempts, "base was run as often")

	w = newWorld()
	w.tests["head/base/lua"] = []bool{false, true, true}
	w.tests["base/base/lua"] = []bool{true, false, true}
	assert.Equal(t, checks.Flaky, settle(t, w, nil)["test lua"].Verdict)
}

func TestNothingIsRunTwice(t *testing.T) {
	w := newWorld()
	settle(t, w, nil)
	w.built, w.ran = nil, nil
	r := settle(t, w, nil)["test lua"]
	assert.Empty(t, w.built)
	assert.Empty(t, w.ran)
	assert.Equal(t, "2026-11-01T00:00:00Z", r.Remembered)

	settle(t, w, func(c *pipeline.Check) { c.Again = pipeline.AgainAll })
	assert.NotEmpty(t, w.ran, "a nightly run looks again")
}

func TestARememberedFailureIsLookedPastWhenAsked(t *testing.T) {
	w := newWorld()
	w.tests["head/base/lua"] = []bool{false}
	settle(t, w, nil)
	w.ran = nil
	w.tests["head/base/lua"] = []bool{true}
	assert.Equal(t, checks.Regressed, settle(t, w, nil)["test lua"].Verdict)
	assert.Equal(t, checks.Passing, settle(t, w, func(c *pipeline.Check) { c.Again = pipeline.AgainFailures })["test lua"].Verdict)
	assert.NotContains(t, w.ran, "head/base/smoke", "what passed is not run again")
}

func TestInCIBaseIsAskedOnlyForWhatFails(t *testing.T) {
	w := newWorld()
	onDemand := func(c *pipeline.Check) { c.BaseOnDemand = true }
	r := settle(t, w, onDemand)["test lua"]
	assert.Equal(t, checks.Unknown, r.Was)
	assert.Equal(t, checks.Passing, r.Verdict, "never fixed when base is unknown")
	assert.NotContains(t, w.ran, "base/base/lua")

	w = newWorld()
	w.tests["head/base/lua"] = []bool{false}
	assert.Equal(t, checks.Regressed, settle(t, w, onDemand)["test lua"].Verdict)
	assert.NotContains(t, w.ran, "base/base/smoke")
}

func TestASystemThatDoesNotBuildRunsNothing(t *testing.T) {
	w := newWorld()
	w.builds = map[string]checks.Status{"head/base": checks.Fail}
	got := settle(t, w, nil)
	assert.Equal(t, checks.Error, got["test lua"].Now)
	assert.Equal(t, checks.Undecided, got["test lua"].Verdict)
	assert.Contains(t, got["test lua"].Reason, "could not be built")
	assert.Equal(t, checks.Passing, got["build builds"].Verdict, "the package is judged all the same")
}

func TestWhatWasNotSettledIsAnError(t *testing.T) {
	for name, edit := range map[string]func(*world){
		"the builder lost it": func(w *world) { w.builds = map[string]checks.Status{"head/lua": checks.Unknown} },
		"the builder could not start": func(w *world) {
			w.builds = map[string]checks.Status{"head/lua": checks.Unknown}
			w.buildErr = errors.New("nix-store: not found")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			edit(w)
			r := settle(t, w, nil)["build builds"]
			assert.Equal(t, checks.Error, r.Now)
			assert.Equal(t, checks.BlameInfra, r.Blame)
			assert.NotEmpty(t, r.Reason)
		})
	}
	w := newWorld()
	w.evalErr = map[pipeline.Side]error{pipeline.Head: errors.New("nix is missing")}
	for name, r := range settle(t, w, nil) {
		assert.Equal(t, checks.Error, r.Now, name)
		assert.Contains(t, r.Reason, "nix is missing")
	}
}

func TestAnAttributeThatStopsEvaluatingIsAFailureNotARemoval(t *testing.T) {
	w := newWorld()
	w.sets[pipeline.Head].Attrs[0] = distro.Attr{Kind: distro.KindPackage, Name: "lua",
		Failure: &distro.Failure{Reason: distro.FailThrow, Message: "no lua today", File: "overlay.nix", Line: 7}}
	got := settle(t, w, nil)
	assert.Equal(t, checks.Regressed, got["eval evaluates"].Verdict)
	assert.Equal(t, "does not evaluate: no lua today (overlay.nix:7)", got["eval evaluates"].Reason)
	assert.Equal(t, checks.Error, got["build builds"].Now)
}

func TestAPackageThatTheSetLacksIsSkipped(t *testing.T) {
	w := newWorld()
	for _, s := range []pipeline.Side{pipeline.Base, pipeline.Head} {
		w.sets[s].Attrs[0] = distro.Attr{Kind: distro.KindPackage, Name: "lua", Failure: &distro.Failure{Reason: distro.FailUnavailable, Message: "not in tinypkgs"}}
	}
	got := settle(t, w, nil)
	assert.Equal(t, checks.Skip, got["eval evaluates"].Now)
	assert.Equal(t, checks.Skip, got["build builds"].Now)
}

func TestAttributesThatCannotBeListedAtBaseAreUnknownNotNew(t *testing.T) {
	w := newWorld()
	w.sets[pipeline.Base] = &distro.Set{Failure: &distro.Failure{Reason: distro.FailSyntax, Message: "syntax error"}}
	r := settle(t, w, nil)["eval evaluates"]
	assert.Equal(t, checks.Unknown, r.Was)
	assert.Equal(t, checks.Passing, r.Verdict)
}

func TestAStoppedCheckStillSaysEverythingItKnows(t *testing.T) {
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.builds = map[string]checks.Status{"head/lua": checks.Unknown}
	c := &pipeline.Check{Distribution: w, Builder: w, Machines: w, Memo: w, Progress: pipeline.NoProgress{}}
	res, err := c.Settle(ctx, planned())
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, res.Cases, 5)
	assert.Contains(t, res.Cases[1].Reason, "stopped before")
}

func TestASuiteThatRunsThroughACommandShowsItsCasesWhenItRuns(t *testing.T) {
	w := newWorld()
	w.commands = map[pipeline.Side]map[string]bool{
		pipeline.Base: {"python": true, "old": true, "broken": false},
		pipeline.Head: {"python": false, "new": true, "broken": false},
	}
	plan := &checks.Plan{
		Suites: []checks.SuitePlan{{Name: "nixos", Run: true, Command: true}},
		Cases:  []checks.PlannedCase{{Case: checks.Case{Kind: checks.KindBoot, Of: distro.KindSuite, Subject: "nixos", Name: "runs"}}},
	}
	c := &pipeline.Check{Distribution: w, Builder: w, Machines: w, Memo: w, Progress: pipeline.NoProgress{}}
	res, err := c.Settle(t.Context(), plan)
	require.NoError(t, err)
	got := map[string]checks.Verdict{}
	for _, r := range res.Cases {
		got[r.Name] = r.Verdict
	}
	assert.Equal(t, map[string]checks.Verdict{
		"runs": checks.Passing, "python": checks.Regressed, "new": checks.New, "old": checks.Removed, "broken": checks.StillFailing,
	}, got)
	rep, err := checks.Assemble(plan, []*checks.Results{res})
	require.NoError(t, err)
	assert.Equal(t, checks.Failure, rep.Conclusion)
	assert.Len(t, rep.Cases, 5)
}
