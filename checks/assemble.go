package checks

import (
	"fmt"
	"slices"

	"github.com/asterinas/asterbot/distro"
)

// Assemble makes a Report of a plan and the results that came back for it: from
// this process, or from the shards of a workflow. A planned case without a
// result is an error, so that nothing is green because nobody looked; where
// two results claim the same case, the worse one counts. A result that the
// plan does not have is refused, unless it is of a suite that runs through a
// command, whose cases show only then.
func Assemble(plan *Plan, results []*Results) (*Report, error) {
	planned := make(map[Case]PlannedCase, len(plan.Cases))
	for _, p := range plan.Cases {
		planned[p.Case] = p
	}
	open := map[string]bool{}
	for _, s := range plan.Suites {
		if s.Command && s.Run {
			open[s.Name] = true
		}
	}
	order := make([]PlannedCase, 0, len(plan.Cases))
	order = append(order, plan.Cases...)
	got := map[Case]Result{}
	rep := &Report{Schema: SchemaReport, Change: plan.Change, Plan: plan, Cases: []Result{}, Notices: slices.Clone(plan.Notes)}
	for _, r := range plan.Settled {
		if _, ok := planned[r.Case]; !ok {
			return nil, fmt.Errorf("assemble report: case %s %s %q is settled in the plan and not planned", r.Kind, r.Subject, r.Name)
		}
		got[r.Case] = r
	}
	for _, rs := range results {
		rep.Machines = append(rep.Machines, rs.Machines...)
		for _, r := range rs.Cases {
			if _, ok := planned[r.Case]; !ok && r.Kind == KindTest && r.Of == distro.KindSuite && open[r.Subject] {
				planned[r.Case] = PlannedCase{Case: r.Case, Package: r.Package}
				order = append(order, planned[r.Case])
			} else if !ok {
				return nil, fmt.Errorf("assemble report: case %s %s %q is not in the plan", r.Kind, r.Subject, r.Name)
			}
			if old, twice := got[r.Case]; !twice || badness(r) > badness(old) {
				got[r.Case] = r
			}
		}
	}
	for _, p := range order {
		r, ok := got[p.Case]
		if !ok {
			r = Result{
				Case: p.Case, Package: p.Package, Was: Unknown, Now: Error, Verdict: Undecided, Blame: BlameInfra,
				Stage: string(p.Kind), Reason: "no result came back from the job that was to settle it",
			}
		}
		rep.Cases = append(rep.Cases, r)
	}
	rep.Counts = Count(rep.Cases)
	rep.Conclusion = Conclude(rep.Cases)
	return rep, nil
}

// badness orders results from harmless to blocking.
func badness(r Result) int {
	switch {
	case r.Blocks():
		return 3
	case r.Now == Error:
		return 2
	case r.Unsettled():
		return 1
	}
	return 0
}
