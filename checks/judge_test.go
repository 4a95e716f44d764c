package checks_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks"
)

func once(s checks.Status) checks.Side {
	n := 0
	if s == checks.Pass {
		n = 1
	}
	return checks.Side{Status: s, Attempts: 1, Passes: n}
}

func TestJudge(t *testing.T) {
	mixed := checks.Side{Status: checks.Fail, Attempts: 3, Passes: 1}
	mixedGreen := checks.Side{Status: checks.Pass, Attempts: 3, Passes: 2}
	never := checks.Side{Status: checks.Fail, Attempts: 3}
	for _, tc := range []struct {
		name     string
		was, now checks.Side
		want     checks.Verdict
	}{
		{"passed and passes", once(checks.Pass), once(checks.Pass), checks.Passing},
		{"passed and fails", once(checks.Pass), once(checks.Fail), checks.Regressed},
		{"failed and passes", once(checks.Fail), once(checks.Pass), checks.Fixed},
		{"failed and fails", once(checks.Fail), once(checks.Fail), checks.StillFailing},
		{"was not there and passes", once(checks.Absent), once(checks.Pass), checks.New},
		{"was not there and fails", once(checks.Absent), once(checks.Fail), checks.New},
		{"is not there any more", once(checks.Pass), once(checks.Absent), checks.Removed},
		{"passes, base not known: passing, never fixed", once(checks.Unknown), once(checks.Pass), checks.Passing},
		{"fails, base not known: not a regression we could show", once(checks.Unknown), once(checks.Fail), checks.Undecided},
		{"fails, base could not be looked at", once(checks.Error), once(checks.Fail), checks.Undecided},
		{"could not be looked at", once(checks.Pass), once(checks.Error), checks.Undecided},
		{"skipped", once(checks.Pass), once(checks.Skip), checks.Undecided},
		{"was skipped and fails now", once(checks.Skip), once(checks.Fail), checks.New},
		{"fails now and then on both sides", mixed, mixed, checks.Flaky},
		{"now and then on both sides, whatever came last", mixedGreen, mixed, checks.Flaky},
		{"fails now and then at head, never at base", checks.Side{Status: checks.Pass, Attempts: 3, Passes: 3}, mixed, checks.Regressed},
		{"failed now and then at base, always at head", mixed, never, checks.Regressed},
		{"failed now and then at base, passes", mixed, once(checks.Pass), checks.Passing},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, checks.Judge(tc.was, tc.now)) })
	}
}

func TestDecideWhoseFailureItIs(t *testing.T) {
	exit := func(n int) *int { return &n }
	fail := func(n int, title string) checks.Outcome {
		return checks.Outcome{Status: checks.Fail, Exit: exit(n), Title: title}
	}
	pass := checks.Outcome{Status: checks.Pass, Exit: exit(0)}
	for _, tc := range []struct {
		name          string
		head, control checks.Outcome
		ready         bool
		want          checks.Blame
	}{
		{"a pass is nobody's fault", pass, pass, true, checks.BlameNone},
		{"the control passes", fail(1, "a"), pass, true, checks.BlameKernel},
		{"the control fails in the same way", fail(1, "a"), fail(1, "a"), true, checks.BlamePackage},
		{"the control fails with another message", fail(1, "Invalid argument"), fail(1, "Operation not permitted"), true, checks.BlameUnknown},
		{"the control fails with another status", fail(1, "a"), fail(2, "a"), true, checks.BlameUnknown},
		{"the control did not come up", fail(1, "a"), fail(1, "a"), false, checks.BlameUnknown},
		{"the control could not be looked at", fail(1, "a"), checks.Outcome{Status: checks.Error}, true, checks.BlameUnknown},
		{"our surroundings failed", checks.Outcome{Status: checks.Error, Infra: true}, pass, true, checks.BlameInfra},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, checks.Decide(tc.head, tc.control, tc.ready)) })
	}
}

func TestConclude(t *testing.T) {
	r := func(v checks.Verdict, now checks.Status) checks.Result {
		return checks.Result{Was: checks.Pass, Now: now, Verdict: v}
	}
	skipped := checks.Result{Was: checks.Skip, Now: checks.Skip, Verdict: checks.Undecided}
	waived := r(checks.Regressed, checks.Fail)
	waived.Waived = "tracked elsewhere"
	for _, tc := range []struct {
		name  string
		cases []checks.Result
		want  checks.Conclusion
		exit  int
	}{
		{"nothing affected", nil, checks.Skipped, 0},
		{"all pass", []checks.Result{r(checks.Passing, checks.Pass)}, checks.Success, 0},
		{"one regressed", []checks.Result{r(checks.Passing, checks.Pass), r(checks.Regressed, checks.Fail)}, checks.Failure, 1},
		{"one regressed and one could not be looked at", []checks.Result{r(checks.Undecided, checks.Error), r(checks.Regressed, checks.Fail)}, checks.Failure, 1},
		{"one is new and fails", []checks.Result{r(checks.New, checks.Fail)}, checks.Failure, 1},
		{"one is new and passes", []checks.Result{r(checks.New, checks.Pass)}, checks.Success, 0},
		{"one could not be looked at", []checks.Result{r(checks.Passing, checks.Pass), r(checks.Undecided, checks.Error)}, checks.Errored, 3},
		{"one fails and its base is not known", []checks.Result{r(checks.Undecided, checks.Fail)}, checks.Errored, 3},
		{"flaky, fixed, removed and still failing ones are notices", []checks.Result{r(checks.Flaky, checks.Fail), r(checks.Fixed, checks.Pass), r(checks.Removed, checks.Absent), r(checks.StillFailing, checks.Fail)}, checks.Success, 0},
		{"skipped before and now", []checks.Result{r(checks.Passing, checks.Pass), skipped}, checks.Success, 0},
		{"passed before and is skipped now: not green", []checks.Result{r(checks.Undecided, checks.Skip)}, checks.Errored, 3},
		{"a waived regression", []checks.Result{waived, r(checks.Passing, checks.Pass)}, checks.Success, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := checks.Conclude(tc.cases)
			assert.Equal(t, tc.want, got)
			assert.Equal(t, tc.exit, got.ExitCode())
		})
	}
}
