package report_test

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

func passing(n int) []checks.Result {
	var out []checks.Result
	for i := range n {
		out = append(out, case_(checks.KindTest, suite, "base", fmt.Sprintf("case %d", i), pass, pass, checks.Passing))
	}
	return out
}

func TestTheHeadlineIsTheAnswer(t *testing.T) {
	regressed := func(kind checks.Kind, of distro.Kind, subject, name string) checks.Result {
		return case_(kind, of, subject, name, pass, fail, checks.Regressed)
	}
	test := func(pkg, name string, was, now checks.Status, v checks.Verdict) checks.Result {
		return with(case_(checks.KindTest, suite, "languages", name, was, now, v), func(r *checks.Result) { r.Package = pkg })
	}
	unseen := func(reason string) checks.Result {
		return with(case_(checks.KindTest, suite, "base", reason, pass, checks.Error, checks.Undecided), func(r *checks.Result) { r.Reason = reason })
	}
	panicked := func(name string) checks.Result {
		return with(regressed(checks.KindBoot, suite, name, "boots"), func(r *checks.Result) {
			r.Machine, r.Blame, r.Title = name, checks.BlameKernel, "Heap allocation error"
		})
	}
	machines := func(names ...string) (out []checks.Machine) {
		for _, n := range names {
			out = append(out, checks.Machine{Name: n, Outcome: checks.MachinePanic, Stage: "rootfs"})
		}
		return out
	}
	for _, tc := range []struct {
		name string
		r    checks.Report
		want string
	}{
		{"one regression", checks.Report{Cases: append(passing(22), test("lua", "lua starts", pass, fail, checks.Regressed))},
			"1 regression in 23 cases: lua no longer starts"},
		{"two regressions are both named", checks.Report{Cases: append(passing(21), regressed(checks.KindBuild, pkg, "sed", "builds"), test("lua", "starts", pass, fail, checks.Regressed))},
			"2 regressions in 23 cases: sed no longer builds and lua no longer starts"},
		{"many are counted", checks.Report{Cases: []checks.Result{regressed(checks.KindBuild, pkg, "a", "builds"), regressed(checks.KindEval, pkg, "b", "evaluates"), regressed(checks.KindInstall, img, "iso", "installs"), test("", "ip-addr", pass, fail, checks.Regressed)}},
			"4 regressions in 4 cases: a no longer builds, b no longer evaluates and 2 more"},
		{"a test whose name is no sentence", checks.Report{Cases: []checks.Result{test("iproute2", "ip-addr", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: languages: ip-addr fails now"},
		{"a test named as its package", checks.Report{Cases: []checks.Result{test("lua", "lua", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: lua no longer works"},
		{"a test with hyphens", checks.Report{Cases: []checks.Result{test("lua", "lua-prints-its-version", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: lua no longer prints its version"},
		{"a verb that no table has, behind the package's name", checks.Report{Cases: []checks.Result{test("lua", "lua concatenates tables", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: lua no longer concatenates tables"},
		{"a plural behind the package's name is none", checks.Report{Cases: []checks.Result{test("lua", "lua threads", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: languages: threads fails now"},
		{"the suite's own name in front", checks.Report{Cases: []checks.Result{test("", "languages decodes numbers", pass, fail, checks.Regressed)}},
			"1 regression in 1 case: languages no longer decodes numbers"},
		{"a regression now and then", checks.Report{Cases: []checks.Result{with(test("lua", "starts", pass, fail, checks.Regressed), func(r *checks.Result) { r.Passes, r.Attempts = 1, 3 })}},
			"1 regression in 1 case: lua starts only now and then"},
		{"a regression beside what could not be looked at", checks.Report{Cases: append(passing(3), regressed(checks.KindBuild, pkg, "sed", "builds"), unseen("no disk"))},
			"1 regression in 5 cases: sed no longer builds; 1 could not be looked at"},
		{"a new case that fails", checks.Report{Cases: append(passing(3), case_(checks.KindBuild, pkg, "greet", "builds", checks.Absent, fail, checks.New))},
			"1 new case fails of 4 cases: greet does not build"},
		{"a regression and a new failure", checks.Report{Cases: []checks.Result{regressed(checks.KindBuild, pkg, "sed", "builds"), case_(checks.KindBuild, pkg, "greet", "builds", checks.Absent, fail, checks.New)}},
			"1 regression in 2 cases: sed no longer builds; 1 new case fails: greet does not build"},
		{"a rule that is broken", checks.Report{Cases: []checks.Result{regressed(checks.KindLint, suite, "known-failures", "test/network/*")}},
			"1 regression in 1 case: known-failures: test/network/* fails now"},
		{"all is well", checks.Report{Cases: passing(23)}, "No regressions in 23 cases"},
		{"only fixed", checks.Report{Cases: append(passing(3), test("sed", "sed substitutes", fail, pass, checks.Fixed))},
			"No regressions in 4 cases; 1 fixed: sed substitutes again"},
		{"some fail as before", checks.Report{Cases: append(passing(3), test("sed", "starts", fail, fail, checks.StillFailing), test("a", "starts", pass, fail, checks.Flaky), test("b", "starts", pass, checks.Absent, checks.Removed))},
			"No regressions in 6 cases; 1 failing as before; 1 flaky; 1 removed"},
		{"waived", checks.Report{Cases: append(passing(1), with(regressed(checks.KindBuild, pkg, "a", "builds"), func(r *checks.Result) { r.Waived = "known" }))},
			"No regressions in 2 cases; 1 waived"},
		{"base is not known", checks.Report{Cases: append(passing(1), case_(checks.KindBuild, pkg, "a", "builds", checks.Unknown, fail, checks.Undecided))},
			"1 case fails of 2 cases, and base is not known: a does not build"},
		{"some could not be looked at", checks.Report{Cases: append(passing(2), unseen("QEMU was killed"), unseen("QEMU was killed"), unseen("disk full"))},
			"Could not look at 3 of 5 cases: QEMU was killed"},
		{"nothing could be looked at", checks.Report{Cases: []checks.Result{unseen("base could not be evaluated: no nix")}},
			"Could not look at any of 1 case: base could not be evaluated: no nix"},
		{"every boot panics", checks.Report{Cases: append(passing(3), panicked("base"), panicked("network")), Machines: machines("base", "network")},
			"The kernel no longer boots: it panics in stage rootfs, in all 2 systems (Heap allocation error)"},
		{"the only boot panics", checks.Report{Cases: []checks.Result{panicked("base"), unseen("it did not boot")}, Machines: machines("base")},
			"The kernel no longer boots: it panics in stage rootfs, in base (Heap allocation error); 1 could not be looked at"},
		{"one boot of two panics", checks.Report{Cases: []checks.Result{panicked("base"), case_(checks.KindBoot, suite, "network", "boots", pass, pass, checks.Passing)}, Machines: machines("base")},
			"1 regression in 2 cases: base no longer boots"},
		{"every boot panics and a build fails", checks.Report{Cases: []checks.Result{panicked("base"), regressed(checks.KindBuild, pkg, "a", "builds")}, Machines: machines("base")},
			"The kernel no longer boots: it panics in stage rootfs, in base (Heap allocation error); 1 regression besides"},
		{"nothing affected", checks.Report{Conclusion: checks.Skipped, Plan: &checks.Plan{Scope: []distro.Scope{distro.ScopeDocs}}},
			"Nothing is affected: only documentation changed"},
		{"nothing affected by a change of several parts", checks.Report{Conclusion: checks.Skipped, Plan: &checks.Plan{Scope: []distro.Scope{distro.ScopeCI, distro.ScopeOverlay}}},
			"Nothing is affected: the change touches ci and overlay only, and every package, image and suite evaluates to what it was"},
		{"the same kernel", checks.Report{Conclusion: checks.Skipped, Plan: &checks.Plan{Scope: []distro.Scope{distro.ScopeKernel}, Kernel: &checks.KernelPlan{Status: "identical"}}},
			"Nothing is affected: the kernel image is the same, byte for byte"},
		{"base and head are the same", checks.Report{Conclusion: checks.Skipped, Change: distro.Change{Base: "a", Head: "a"}},
			"Nothing is affected: base and head are the same"},
		{"could not look at all", checks.Report{Conclusion: checks.Errored, Errors: []string{"evaluate base: run nix-instantiate: killed\nmore"}},
			"Could not look: evaluate base: run nix-instantiate: killed"},
		{"good cases but a stage that could not look", checks.Report{Conclusion: checks.Errored, Cases: passing(2), Errors: []string{"images: disk full"}},
			"Could not look everywhere: images: disk full"},
		{"a conflict", checks.Report{Conclusion: checks.Errored, Change: distro.Change{Conflicts: []string{"a.nix", "b.nix", "c.nix", "d.nix"}}},
			"Cannot be judged: the change conflicts with its base in a.nix, b.nix and 2 more files"},
		{"partial coverage", checks.Report{Cases: passing(200), Plan: &checks.Plan{Omitted: []checks.Omission{{Count: 1200, What: "packages"}}}},
			"No regressions in 200 cases; 1200 more not looked at"},
		{"hostile names", checks.Report{Cases: []checks.Result{regressed(checks.KindBuild, pkg, "\x1b[31mevil\n::error::\u202ex", "builds")}},
			"1 regression in 1 case: evil ::error::�x no longer builds"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := finish(&tc.r)
			assert.Equal(t, tc.want, report.Headline(r))
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("\x1b]0;title\x07hello\x1b[31m\r\n\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		p := report.Plain(s)
		assert.True(t, utf8.ValidString(p))
		for _, r := range p {
			assert.False(t, r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028', "%q", p)
		}
		assert.Equal(t, p, report.Plain(p))
	})
}
