package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/kernel"
	"github.com/asterinas/asterbot/internal/pipeline"
	"github.com/asterinas/asterbot/internal/proc"
)

// kernelCase is that the kernel under test builds, where a command builds it.
var kernelCase = checks.Case{Kind: checks.KindBuild, Of: distro.KindKernel, Subject: "kernel", Name: "builds"}

// lacks reports whether the kernel of a side could not be built.
func (w *workspace) lacks(side pipeline.Side) bool { return slices.Contains(w.NoKernel, string(side)) }

// kernelOutcome says how building a kernel went.
func kernelOutcome(err error) checks.Outcome {
	if err == nil {
		return checks.Outcome{Status: checks.Pass, Stage: "build", Attempts: 1, Passes: 1}
	}
	o := checks.Outcome{Status: checks.Error, Stage: "build", Attempts: 1, Infra: true, Reason: "the kernel could not be built here: " + shortMessage(err.Error())}
	var failed *proc.Error
	if errors.As(err, &failed) {
		o.Tail = report.PlainLines(strings.Split(strings.TrimSpace(failed.Tail), "\n"))
	}
	if !errors.Is(err, kernel.ErrBuild) {
		return o
	}
	o.Status, o.Infra = checks.Fail, false
	if o.Reason = shortMessage(err.Error()); failed != nil && len(o.Tail) > 0 {
		o.Reason = "the kernel does not build: " + firstError(o.Tail)
	}
	o.Title = o.Reason
	return o
}

// compilerError is how compilers begin an error: "x.c:2:43: error: ...", "error[E0425]: ...".
var compilerError = regexp.MustCompile(`(?:^|[\s:])(?:fatal )?error(?:\[E[0-9]+\])?: `)

// firstError is the line of a failed build's log that says most: the first error of
// a compiler, since later ones follow from it.
func firstError(tail []string) string {
	for _, line := range tail {
		if compilerError.MatchString(line) {
			return shortMessage(line)
		}
	}
	return lastSaid(tail)
}

// kernelResult judges that case.
func kernelResult(head checks.Outcome, was checks.Side) checks.Result {
	r := checks.Result{
		Case: kernelCase, Was: was.Status, Now: head.Status, Stage: head.Stage, Reason: head.Reason, Title: head.Title, Tail: head.Tail, Log: head.Log,
		Attempts: head.Attempts, Passes: head.Passes, WasAttempts: was.Attempts, WasPasses: was.Passes, Seconds: head.Seconds,
		Verdict: checks.Judge(was, checks.Side{Status: head.Status, Attempts: head.Attempts, Passes: head.Passes}),
	}
	switch {
	case head.Infra:
		r.Blame = checks.BlameInfra
	case head.Status == checks.Fail:
		r.Blame = checks.BlameKernel
	}
	return r
}

// settleKernel adds that case to a plan, where this machine tried to build the
// kernel and could not.
func (w *workspace) settleKernel(plan *checks.Plan) {
	if len(w.unbuilt) == 0 {
		return
	}
	base := kernelOutcome(w.unbuilt[pipeline.Base])
	r := kernelResult(kernelOutcome(w.unbuilt[pipeline.Head]), checks.Side{Status: base.Status, Attempts: base.Attempts, Passes: base.Passes})
	plan.Cases = append(plan.Cases, checks.PlannedCase{Case: r.Case, Why: "everything else boots it"})
	plan.Settled = append(plan.Settled, r)
}

// withoutKernel splits a plan into what can be settled without the kernel under
// test, and errors for the rest.
func withoutKernel(plan *checks.Plan) (*checks.Plan, []checks.Result) {
	part := *plan
	part.Cases = nil
	var rest []checks.Result
	for _, p := range plan.Cases {
		switch {
		case p.Of == distro.KindPackage:
			part.Cases = append(part.Cases, p)
		case slices.ContainsFunc(plan.Settled, func(r checks.Result) bool { return r.Case == p.Case }), p.Of == distro.KindKernel:
		default:
			rest = append(rest, checks.Result{
				Case: p.Case, Package: p.Package, Was: checks.Unknown, Now: checks.Error, Verdict: checks.Undecided, Blame: checks.BlameNone,
				Stage: string(p.Kind), Reason: "the kernel under test was not built",
			})
		}
	}
	return &part, rest
}
