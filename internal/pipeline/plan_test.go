package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/internal/pipeline"
)

// distribution is a head with a package, an image that installs, and two suites.
func distribution() *distro.Set {
	cases := &distro.Suite{Cases: []distro.CaseSpec{{Name: "runs", Run: "true", Package: "lua"}}}
	return &distro.Set{Attrs: []distro.Attr{
		{Kind: distro.KindImage, Name: "iso", Drv: "/iso.drv", Suite: cases},
		{Kind: distro.KindPackage, Name: "lua", Drv: "/lua.drv"},
		{Kind: distro.KindSuite, Name: "languages", Drv: "/languages.drv", Suite: cases},
		{Kind: distro.KindSuite, Name: "smoke", Drv: "/smoke.drv", Suite: cases},
	}}
}

func rebuilt(name string, via ...string) distro.AttrDiff {
	return distro.AttrDiff{Attr: name, Status: distro.StatusRebuilt, Root: len(via) == 0, Via: via, Causes: []distro.Cause{{File: "overlays/x.nix", What: "patches +x.patch"}}}
}

// short names a case as "build lua", those of a system as "test languages/runs".
func short(c checks.PlannedCase) string {
	if c.Kind == checks.KindTest {
		return fmt.Sprintf("%s %s/%s", c.Kind, c.Subject, c.Name)
	}
	return fmt.Sprintf("%s %s", c.Kind, c.Subject)
}

func TestMakePlan(t *testing.T) {
	failed := &distro.Failure{Reason: distro.FailAbort, Message: "no way\nmore"}
	isoCases := "eval iso, build iso, install iso, boot iso, test iso/runs"
	suite := func(name string) string {
		return fmt.Sprintf("eval %s, build %s, boot %s, test %s/runs", name, name, name, name)
	}
	for _, tc := range []struct {
		name  string
		adapt func(*pipeline.Affected)
		want  string
		why   string // of the first case
	}{
		{"nothing that is evaluated changed: nothing to do", func(in *pipeline.Affected) { in.Diff = nil }, "", ""},
		{"a package is rebuilt: evaluated and built", func(in *pipeline.Affected) { in.Diff.Packages = []distro.AttrDiff{rebuilt("lua")} },
			"eval lua, build lua", "patches +x.patch"},
		{"one that changed through another says the way", func(in *pipeline.Affected) { in.Diff.Packages = []distro.AttrDiff{rebuilt("lua", "readline")} },
			"eval lua, build lua", "through readline: patches +x.patch"},
		{"what is only fetched anew is not built", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusRefetch, Root: true}}
		}, "", ""},
		{"neither is what was renamed, or whose meta changed", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusRenamed, From: "lua5"}, {Attr: "z", Status: distro.StatusMeta}}
		}, "", ""},
		{"a removal is a case of its own: it is told", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "gone", Status: distro.StatusRemoved}}
		}, "eval gone", "it is no longer there"},
		{"what stops evaluating is a failing case, not built", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusEvalFailed, Failure: failed}}
		}, "eval lua", "it stops evaluating: no way"},
		{"what did not evaluate before is nobody's doing", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusEvalStillFailing, Failure: failed}}
		}, "", ""},
		{"what evaluates again is built", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusEvalFixed}}
		}, "eval lua, build lua", "it evaluates again"},
		{"base could not be listed: everything is built, and unknown", func(in *pipeline.Affected) {
			in.Diff.Packages = []distro.AttrDiff{{Attr: "lua", Status: distro.StatusUnknown}}
		}, "eval lua, build lua", "base could not be listed, so it is not known whether it changed"},
		{"an image that changed is installed and booted", func(in *pipeline.Affected) { in.Diff.Images = []distro.AttrDiff{rebuilt("iso")} }, isoCases, "patches +x.patch"},
		{"a suite whose system changed runs, the other does not", func(in *pipeline.Affected) { in.Diff.Suites = []distro.AttrDiff{rebuilt("languages", "lua")} },
			suite("languages"), "its system changed: through lua: patches +x.patch"},
		{"a suite whose cases changed runs, and what it no longer has is told", func(in *pipeline.Affected) {
			in.Diff.Suites = []distro.AttrDiff{{Attr: "languages", Status: distro.StatusMeta}}
			in.Base.Attrs[2].Suite = &distro.Suite{Cases: []distro.CaseSpec{{Name: "old", Run: "true"}, {Name: "runs", Run: "true", Package: "lua"}}}
		}, suite("languages") + ", test languages/old", "what it runs changed: cases -old"},
		{"another kernel: all that boots, and no package", func(in *pipeline.Affected) {
			in.Diff, in.Kernel = nil, checks.KernelPlan{Status: pipeline.KernelChanged, Why: "its image is another one"}
		}, isoCases + ", " + suite("languages") + ", " + suite("smoke"), "the kernel changed: its image is another one"},
		{"a kernel that is not built yet may be another one", func(in *pipeline.Affected) {
			in.Diff, in.Kernel = nil, checks.KernelPlan{Status: pipeline.KernelUnknown, Why: "not built"}
		}, isoCases + ", " + suite("languages") + ", " + suite("smoke"), ""},
		{"the same image from other sources: nothing to boot", func(in *pipeline.Affected) {
			in.Diff, in.Kernel = nil, checks.KernelPlan{Status: pipeline.KernelIdentical}
		}, "", ""},
		{"a suite that is gone is told", func(in *pipeline.Affected) {
			in.Diff.Suites = []distro.AttrDiff{{Attr: "desktop", Status: distro.StatusRemoved}}
		}, "eval desktop", "it is no longer there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := pipeline.Affected{
				Change: &distro.Change{Files: []string{"overlays/x.nix"}}, ScopeOf: func(string) distro.Scope { return distro.ScopeOverlay },
				Diff: &distro.Diff{}, Base: distribution(), Head: distribution(), Kernel: checks.KernelPlan{Status: pipeline.KernelUnchanged},
			}
			tc.adapt(&in)
			plan := pipeline.MakePlan(in)
			var got []string
			for _, c := range plan.Cases {
				got = append(got, short(c))
			}
			assert.Equal(t, tc.want, strings.Join(got, ", "))
			if tc.why != "" {
				assert.Equal(t, tc.why, plan.Cases[0].Why)
			}
			for _, s := range plan.Suites {
				assert.NotEmpty(t, s.Why, "%s: a suite that does not run has a reason too", s.Name)
			}
		})
	}
}

// TestAMassRebuild: what the change is about and what uses it directly are built, the rest
// on demand; what was left out is said, with the roots that did it.
func TestAMassRebuild(t *testing.T) {
	in := pipeline.Affected{
		Change: &distro.Change{}, ScopeOf: func(string) distro.Scope { return distro.ScopeOther }, Base: &distro.Set{}, Head: distribution(),
		Diff: &distro.Diff{}, MaxRebuilds: 10,
	}
	in.Diff.Packages = append(in.Diff.Packages, rebuilt("root"), rebuilt("consumer", "root"))
	for i := range 300 {
		a := rebuilt(fmt.Sprint("far", i), "near", "gcc")
		if i >= 200 {
			a.Via[1] = "openssl"
		}
		in.Diff.Packages = append(in.Diff.Packages, a)
	}
	in.Diff.Suites = []distro.AttrDiff{rebuilt("languages", "lua", "gcc")}
	plan := pipeline.MakePlan(in)
	var builds []string
	for _, c := range plan.Cases {
		if c.Kind == checks.KindBuild {
			builds = append(builds, fmt.Sprint(c.Subject, " ", c.Tier))
		}
	}
	assert.Equal(t, []string{"root 0", "consumer 1", "languages 1"}, builds)
	assert.Len(t, plan.Packages, 302, "all of them are listed")
	assert.Equal(t, []checks.Omission{{
		Count: 300, What: "packages that are rebuilt",
		Why: "302 packages are rebuilt, more than the 10 that are built without being asked; what was left out changed because of gcc (200), openssl (100)",
		How: "ask for them: bot plan --all, or /rebuild all",
	}}, plan.Omitted)

	in.All = true
	assert.Empty(t, pipeline.MakePlan(in).Omitted)
}
