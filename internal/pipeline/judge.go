package pipeline

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// judge turns what was settled into one result per planned case.
func (r *run) judge(ctx context.Context) []checks.Result {
	diffs := map[Ref]distro.AttrDiff{}
	for _, d := range r.plan.Packages {
		diffs[Ref{distro.KindPackage, d.Attr}] = d
	}
	for _, d := range r.plan.Images {
		diffs[Ref{distro.KindImage, d.Attr}] = d
	}
	for _, s := range r.plan.Suites {
		diffs[Ref{distro.KindSuite, s.Name}] = distro.AttrDiff{Attr: s.Name, Status: s.Status, Root: s.Root, Causes: s.Causes, Via: s.Via}
	}
	out := make([]checks.Result, 0, len(r.plan.Cases))
	found := r.found()
	for i, p := range slices.Concat(r.plan.Cases, found) {
		// A test that a command did not report on one side is not there on
		// that side, provided that the command ran.
		unseen := checks.Outcome{Status: checks.Unknown}
		if i >= len(r.plan.Cases) {
			unseen.Status = checks.Absent
		}
		head, ok := r.get(Head, p.Case)
		if !ok {
			head = notSettled(ctx, nil, string(p.Kind))
			if ran, ok := r.get(Head, commandCase(p.Subject)); ok && ran.Status == checks.Pass {
				head = unseen
			}
		}
		base, ok := r.get(Base, p.Case)
		if !ok {
			base = checks.Outcome{Status: checks.Unknown}
			if ran, ok := r.get(Base, commandCase(p.Subject)); ok && ran.Status == checks.Pass {
				base = unseen
			}
		}
		res := checks.Compare(p.Case, p.Package, base, head)
		if c, ok := r.get(Control, p.Case); ok {
			res.Control = c.Status
		}
		res.Blame = r.blame(p, head)
		res.Version = r.version(p)
		d, ok := diffs[Ref{p.Of, p.Subject}]
		if of, own := diffs[Ref{distro.KindPackage, p.Package}]; own && p.Package != "" && len(of.Causes) > 0 {
			d, ok = of, true // what became of the package explains its test better than what became of the system
		}
		if ok && res.Verdict != checks.Passing {
			res.Causes, res.Via = d.Causes, d.Via
		}
		if r.Repro != nil && (res.Now == checks.Fail || res.Now == checks.Error) {
			var system string
			if a, missing := r.attr(Head, p.Of, p.Subject); missing == nil {
				system = output(a)
			}
			res.Repro = r.Repro(&res, system)
		}
		out = append(out, res)
	}
	return out
}

// version is the version, at head, of the package that a case is about.
func (r *run) version(p checks.PlannedCase) string {
	name := p.Package
	if p.Of == distro.KindPackage {
		name = p.Subject
	}
	if name == "" {
		return ""
	}
	a, _ := r.attr(Head, distro.KindPackage, name)
	return a.Meta.Version
}

// blame says whose a failure is. What does not run in a machine has no kernel
// under it but the builder's: a build or an evaluation that fails is the package's.
func (r *run) blame(p checks.PlannedCase, head checks.Outcome) checks.Blame {
	switch p.Kind {
	case checks.KindBoot, checks.KindTest:
		control, ok := r.get(Control, p.Case)
		if !ok {
			control = checks.Outcome{Status: checks.Unknown}
		}
		ready := r.controlReady(p.Of, p.Subject)
		if p.Kind == checks.KindBoot {
			// The boot is itself the question.
			ready = ok
		}
		return checks.Decide(head, control, ready)
	case checks.KindInstall:
		// The installer runs on its own kernel, never on the one under test.
		if head.Status == checks.Fail {
			return checks.BlamePackage
		}
	default:
		if head.Status == checks.Fail {
			return checks.BlamePackage
		}
	}
	if head.Status == checks.Error && head.Infra {
		return checks.BlameInfra
	}
	if head.Status == checks.Error {
		return checks.BlameUnknown
	}
	return checks.BlameNone
}

// sortedCases are the cases of outcomes in a fixed order.
func sortedCases(m map[checks.Case]checks.Outcome) []checks.Case {
	return slices.SortedFunc(maps.Keys(m), func(a, b checks.Case) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}
