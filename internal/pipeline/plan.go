package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// Affected is what a plan is made of: what the change does, as far as it could be
// found out without building anything.
type Affected struct {
	Change *distro.Change
	// ScopeOf says which part of the distribution a file belongs to.
	ScopeOf func(file string) distro.Scope
	// Diff is nil where no file that the evaluation may read has changed.
	Diff *distro.Diff
	// Base and Head are the two sides; both are Head's where Diff is nil.
	Base, Head *distro.Set
	// Kernel is what is known of the kernel under test.
	Kernel checks.KernelPlan
	// Smoke are the suites to be answered first.
	Smoke []string
	// Commands are the suites that run through a command.
	Commands []CommandSuite
	// MaxRebuilds is how many packages are built without being asked; zero means
	// all.
	MaxRebuilds int
	// All takes in what did not change as well.
	All bool
	// Only are the names wanted; none means all.
	Only []string
	// Took returns how many seconds a case took the last time, zero where that is
	// not known; nil knows nothing.
	Took  func(checks.Case) float64
	Stats *checks.Stats
	Notes []string
}

// CommandSuite is a suite that runs through a command.
type CommandSuite struct {
	Name, Owner string
	// Match reports whether a changed file selects it; nil means that a change
	// of the kernel does.
	Match func(file string) bool
}

// The status of a KernelPlan.
const (
	KernelUnchanged = "unchanged"
	KernelChanged   = "changed"
	KernelIdentical = "identical" // made anew, the same image
	KernelUnknown   = "unknown"   // not made yet
)

// MakePlan says which cases to run, and why. It is a pure function.
func MakePlan(in Affected) *checks.Plan {
	p := &planner{Affected: in, have: map[checks.Case]bool{}, count: map[checks.Kind]int{}, plan: &checks.Plan{
		Schema: checks.SchemaPlan, Change: *in.Change, Scope: []distro.Scope{},
		Packages: []distro.AttrDiff{}, Images: []distro.AttrDiff{}, Suites: []checks.SuitePlan{},
		Cases: []checks.PlannedCase{}, Stats: in.Stats, Notes: in.Notes,
	}}
	if p.Diff == nil {
		p.Diff = &distro.Diff{}
	}
	p.scopes()
	kernel := in.Kernel
	p.plan.Kernel = &kernel
	p.packages()
	p.images()
	p.suites()
	p.commands()
	p.only()
	if p.Took != nil {
		for i := range p.plan.Cases {
			p.plan.Cases[i].Seconds = p.Took(p.plan.Cases[i].Case)
		}
	}
	return p.plan
}

type planner struct {
	Affected
	plan *checks.Plan
	// have are the cases planned so far, without their names, and count how many of
	// each kind.
	have  map[checks.Case]bool
	count map[checks.Kind]int
}

// scopes says which parts of the distribution the change touches: by the
// configuration, and for a file that the configuration does not place by
// what the evaluation found it to do.
func (p *planner) scopes() {
	does := map[string]distro.Scope{}
	p.Diff.Each(func(kind distro.Kind, a *distro.AttrDiff) {
		if !a.Root {
			return
		}
		for _, c := range a.Causes {
			switch {
			case c.File == "" || does[c.File] == distro.ScopeOverlay:
			case kind == distro.KindPackage:
				does[c.File] = distro.ScopeOverlay
			case kind == distro.KindImage && does[c.File] == "":
				does[c.File] = distro.ScopeImage
			}
		}
	})
	files := map[distro.Scope][]string{}
	evaluated := map[distro.Scope]bool{}
	for _, f := range p.Change.Files {
		s := p.ScopeOf(f)
		if found, ok := does[f]; ok && s == distro.ScopeOther {
			s = found
			evaluated[s] = true
		}
		files[s] = append(files[s], f)
	}
	for _, s := range scopeOrder {
		if len(files[s]) == 0 {
			continue
		}
		why := fmt.Sprintf("%s changed", count(len(files[s]), "file"))
		if evaluated[s] {
			why += ", some of them found by what they do to the evaluation"
		}
		p.plan.Scope = append(p.plan.Scope, s)
		p.plan.Why = append(p.plan.Why, checks.ScopeReason{Scope: s, Files: files[s], Why: why})
	}
}

var scopeOrder = []distro.Scope{
	distro.ScopeKernel, distro.ScopeOverlay, distro.ScopeModules, distro.ScopeInstaller, distro.ScopeImage,
	distro.ScopeTests, distro.ScopeRelease, distro.ScopeCI, distro.ScopeDocs, distro.ScopeOther,
}

// The tiers of cases: what is answered first comes first.
const (
	tierRoots     = 0 // what the change itself is about, and smoke suites
	tierConsumers = 1 // what is built from it directly, and suites
	tierRest      = 2
)

func (p *planner) add(kind checks.Kind, of distro.Kind, subject, name, why string, tier int) {
	p.plan.Cases = append(p.plan.Cases, checks.PlannedCase{
		Case: checks.Case{Kind: kind, Of: of, Subject: subject, Name: name}, Why: why, Tier: tier,
	})
	p.have[checks.Case{Kind: kind, Of: of, Subject: subject}] = true
	p.count[kind]++
}

// packages plans evaluations and builds of packages.
func (p *planner) packages() {
	p.plan.Packages = append(p.plan.Packages, p.Diff.Packages...)
	var builds []distro.AttrDiff
	for _, a := range p.Diff.Packages {
		if needsEval(a) {
			p.add(checks.KindEval, distro.KindPackage, a.Attr, "evaluates", whyOf(a), tierRoots)
		}
		if needsBuild(a) {
			builds = append(builds, a)
		}
	}
	left := map[string]int{}
	var omitted int
	max := p.MaxRebuilds
	mass := max > 0 && len(builds) > max && !p.All
	for tier := range tierRest + 1 {
		for _, a := range builds {
			if tierOf(a) != tier {
				continue
			}
			if mass && (tier == tierRest || tier == tierConsumers && p.planned(checks.KindBuild) >= max) {
				omitted++
				left[rootOf(a)]++
				continue
			}
			p.evaluates(distro.KindPackage, a.Attr, whyOf(a), tier)
			p.add(checks.KindBuild, distro.KindPackage, a.Attr, "builds", whyOf(a), tier)
		}
	}
	if omitted > 0 {
		p.plan.Omitted = append(p.plan.Omitted, checks.Omission{
			Count: omitted, What: "packages that are rebuilt",
			Why: fmt.Sprintf("%d packages are rebuilt, more than the %d that are built without being asked; what was left out changed because of %s",
				len(builds), max, grouped(left)),
			How: "ask for them: bot plan --all, or /rebuild all",
		})
	}
	if p.All {
		for _, a := range p.Head.Attrs {
			if a.Kind == distro.KindPackage && a.Failure == nil && !p.has(checks.KindBuild, a.Kind, a.Name) {
				p.add(checks.KindBuild, a.Kind, a.Name, "builds", "asked for: it did not change", tierRest)
			}
		}
	}
}

func (p *planner) planned(kind checks.Kind) int { return p.count[kind] }

func (p *planner) has(kind checks.Kind, of distro.Kind, subject string) bool {
	return p.have[checks.Case{Kind: kind, Of: of, Subject: subject}]
}

// images plans what happens to images: built, installed, and what is installed
// booted.
func (p *planner) images() {
	p.plan.Images = append(p.plan.Images, p.Diff.Images...)
	changed := map[string]distro.AttrDiff{}
	for _, a := range p.Diff.Images {
		changed[a.Attr] = a
		if needsEval(a) {
			p.add(checks.KindEval, distro.KindImage, a.Attr, "evaluates", whyOf(a), tierRoots)
		}
	}
	for _, a := range p.Head.Attrs {
		if a.Kind != distro.KindImage || a.Failure != nil {
			continue
		}
		d, differs := changed[a.Name]
		kernel, why := p.kernelSelects()
		switch {
		case differs && needsBuild(d):
			why = whyOf(d)
		case differs && d.Status == distro.StatusMeta:
			why = "what is run on the disk that it installs changed"
		case kernel:
		case p.All:
			why = "asked for: it did not change"
		default:
			continue
		}
		p.evaluates(distro.KindImage, a.Name, why, tierRest)
		p.add(checks.KindBuild, distro.KindImage, a.Name, "builds", why, tierRest)
		if a.Suite == nil {
			continue
		}
		p.add(checks.KindInstall, distro.KindImage, a.Name, "installs", why, tierRest)
		p.add(checks.KindBoot, distro.KindImage, a.Name, "boots", why, tierRest)
		p.tests(a, why, tierRest)
	}
}

// suites plans a suite because its system's output, its cases or the kernel
// changed.
func (p *planner) suites() {
	changed := map[string]distro.AttrDiff{}
	for _, a := range p.Diff.Suites {
		changed[a.Attr] = a
	}
	was := map[string]*distro.Suite{}
	for _, a := range p.Base.Attrs {
		if a.Kind == distro.KindSuite {
			was[a.Name] = a.Suite
		}
	}
	at := map[string]bool{}
	for _, a := range p.Head.Attrs {
		if a.Kind != distro.KindSuite {
			continue
		}
		at[a.Name] = true
		d, differs := changed[a.Name]
		s := checks.SuitePlan{Name: a.Name, Status: distro.StatusUnchanged}
		if differs {
			s.Status, s.Root, s.Causes, s.Via, s.Failure = d.Status, d.Root, d.Causes, d.Via, d.Failure
		}
		if a.Failure != nil {
			s.Why = "its system does not evaluate: " + firstLine(a.Failure.Message)
			if differs {
				p.add(checks.KindEval, distro.KindSuite, a.Name, "evaluates", whyOf(d), tierRoots)
			}
			p.plan.Suites = append(p.plan.Suites, s)
			continue
		}
		kernel, kernelWhy := p.kernelSelects()
		var reasons []string
		if differs && needsBuild(d) {
			reasons = append(reasons, "its system changed: "+whyOf(d))
		}
		if words := distro.SuiteChanges(was[a.Name], a.Suite); differs && d.Status != distro.StatusAdded && words != "" {
			reasons = append(reasons, "what it runs changed: "+words)
		}
		if kernel {
			reasons = append(reasons, kernelWhy)
		}
		if len(reasons) == 0 && p.All {
			reasons = append(reasons, "asked for: nothing of it changed")
		}
		s.Run = len(reasons) > 0
		s.Why = strings.Join(reasons, "; ")
		if !s.Run {
			s.Why = "its system, its cases and the kernel are what they were"
			p.plan.Suites = append(p.plan.Suites, s)
			continue
		}
		tier := tierConsumers
		if slices.Contains(p.Smoke, a.Name) {
			tier = tierRoots
		}
		p.evaluates(distro.KindSuite, a.Name, s.Why, tier)
		p.add(checks.KindBuild, distro.KindSuite, a.Name, "builds", s.Why, tier)
		p.add(checks.KindBoot, distro.KindSuite, a.Name, "boots", s.Why, tier)
		p.tests(a, s.Why, tier)
		p.removedTests(was[a.Name], a, tier)
		p.plan.Suites = append(p.plan.Suites, s)
	}
	for _, a := range p.Diff.Suites {
		if at[a.Attr] {
			continue
		}
		why := "it is no longer there"
		if a.Failure != nil {
			why = "the suites cannot be listed: " + firstLine(a.Failure.Message)
		}
		p.plan.Suites = append(p.plan.Suites, checks.SuitePlan{Name: a.Attr, Status: a.Status, Why: why, Causes: a.Causes, Failure: a.Failure})
		p.add(checks.KindEval, distro.KindSuite, a.Attr, "evaluates", why, tierRoots)
	}
}

// evaluates plans the case that an attribute evaluates, unless it is planned: what
// is built is evaluated first, and both are cases.
func (p *planner) evaluates(of distro.Kind, name, why string, tier int) {
	if !p.has(checks.KindEval, of, name) {
		p.add(checks.KindEval, of, name, "evaluates", why, tier)
	}
}

// removedTests plans the cases that a suite no longer has: a test that disappears
// is told, not passed over.
func (p *planner) removedTests(was *distro.Suite, a distro.Attr, tier int) {
	if was == nil || a.Suite == nil {
		return
	}
	for _, c := range was.Cases {
		if !slices.ContainsFunc(a.Suite.Cases, func(h distro.CaseSpec) bool { return h.Name == c.Name }) {
			p.add(checks.KindTest, distro.KindSuite, a.Name, c.Name, "the suite no longer has it", tier)
		}
	}
}

// tests plans the cases that run in a system.
func (p *planner) tests(a distro.Attr, why string, tier int) {
	if a.Suite == nil {
		return
	}
	for _, c := range a.Suite.Cases {
		p.plan.Cases = append(p.plan.Cases, checks.PlannedCase{
			Case:    checks.Case{Kind: checks.KindTest, Of: a.Kind, Subject: a.Name, Name: c.Name},
			Package: c.Package, Why: why, Tier: tier,
		})
	}
}

// kernelSelects reports whether the kernel is a reason to boot.
func (p *planner) kernelSelects() (bool, string) {
	switch p.Kernel.Status {
	case KernelChanged, KernelUnknown:
		return true, "the kernel changed: " + p.Kernel.Why
	}
	return false, ""
}

// commands plans suites that run through a command.
func (p *planner) commands() {
	for _, c := range p.Commands {
		s := checks.SuitePlan{Name: c.Name, Command: true}
		if c.Match != nil {
			for _, f := range p.Change.Files {
				if c.Match(f) {
					s.Run, s.Why = true, f+" changed, which selects it"
					break
				}
			}
		} else {
			s.Run, s.Why = p.kernelSelects()
		}
		if !s.Run && p.All {
			s.Run, s.Why = true, "asked for: nothing of it changed"
		}
		if s.Run {
			p.plan.Cases = append(p.plan.Cases, checks.PlannedCase{Case: commandCase(c.Name), Why: s.Why, Tier: tierConsumers})
		} else {
			s.Why = "no file that selects it changed"
		}
		p.plan.Suites = append(p.plan.Suites, s)
	}
}

// only leaves the subjects that were asked for, and says so.
func (p *planner) only() {
	if len(p.Only) == 0 {
		return
	}
	before := len(p.plan.Cases)
	p.plan.Cases = slices.DeleteFunc(p.plan.Cases, func(c checks.PlannedCase) bool { return !slices.Contains(p.Only, c.Subject) })
	if n := before - len(p.plan.Cases); n > 0 {
		p.plan.Omitted = append(p.plan.Omitted, checks.Omission{
			Count: n, What: "cases", Why: "only " + strings.Join(p.Only, ", ") + " was asked for", How: "leave out --only",
		})
	}
}

func needsEval(a distro.AttrDiff) bool {
	switch a.Status {
	case distro.StatusEvalFailed, distro.StatusEvalFixed, distro.StatusRemoved:
		return true
	case distro.StatusUnknown:
		return a.Failure != nil
	}
	return false
}

func needsBuild(a distro.AttrDiff) bool {
	switch a.Status {
	case distro.StatusRebuilt, distro.StatusAdded, distro.StatusEvalFixed:
		return true
	case distro.StatusUnknown:
		return a.Failure == nil
	}
	return false
}

// tierOf is 0 for what a file of the change is about, 1 for what uses such a
// package directly.
func tierOf(a distro.AttrDiff) int {
	inRepo := slices.ContainsFunc(a.Causes, func(c distro.Cause) bool { return c.File != "" })
	switch {
	case a.Root && inRepo, a.Status == distro.StatusAdded, a.Status == distro.StatusEvalFixed:
		return tierRoots
	case len(a.Via) == 1 && inRepo:
		return tierConsumers
	}
	return tierRest
}

// rootOf names what an attribute changed because of.
func rootOf(a distro.AttrDiff) string {
	if len(a.Via) > 0 {
		return a.Via[len(a.Via)-1]
	}
	return a.Attr
}

// whyOf says in a line why an attribute is affected.
func whyOf(a distro.AttrDiff) string {
	var what []string
	for _, c := range a.Causes {
		if !slices.Contains(what, c.What) {
			what = append(what, c.What)
		}
	}
	words := few(what, 3)
	switch a.Status {
	case distro.StatusAdded:
		return "it is new"
	case distro.StatusRemoved:
		return "it is no longer there"
	case distro.StatusRenamed:
		return "it was called " + a.From
	case distro.StatusEvalFailed:
		if a.Failure != nil {
			return "it stops evaluating: " + firstLine(a.Failure.Message)
		}
		return "it stops evaluating"
	case distro.StatusEvalStillFailing:
		return "it does not evaluate, before or now"
	case distro.StatusEvalFixed:
		return "it evaluates again"
	case distro.StatusUnknown:
		return "base could not be listed, so it is not known whether it changed"
	case distro.StatusRefetch:
		return "something is fetched anew and comes out the same: " + words
	case distro.StatusMeta:
		return "only what it says of itself changed"
	}
	if len(a.Via) > 0 {
		return "through " + strings.Join(a.Via, " <- ") + ": " + words
	}
	return words
}

// grouped says how many there are of each, the most first.
func grouped(n map[string]int) string {
	names := sortedKeys(n)
	slices.SortStableFunc(names, func(a, b string) int { return n[b] - n[a] })
	var words []string
	for _, name := range names {
		words = append(words, fmt.Sprintf("%s (%d)", name, n[name]))
	}
	return few(words, 5)
}

func few(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
