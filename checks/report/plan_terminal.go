package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// PlanTerminal writes a plan for a terminal, or as plain lines for a pipe: what
// is affected, which file and line did it, and what there is to run. Its first
// line is the answer. Text from elsewhere cannot send escape sequences.
func PlanTerminal(w io.Writer, p *checks.Plan, opt TerminalOptions) error {
	t := newTerminal(w, opt)
	t.line("%s", t.bold(planAnswer(p)))
	var parts []string
	if p.Change.Base != "" {
		parts = append(parts, short(p.Change.Base)+" → "+short(p.Change.Head))
	}
	parts = append(parts, count(len(p.Change.Files), "file")+" changed")
	for _, why := range p.Why {
		parts = append(parts, fmt.Sprintf("%s: %d", why.Scope, len(why.Files)))
	}
	t.para("  ", t.dim(strings.Join(parts, " · ")))
	for _, n := range p.Notes {
		t.para("  ", Plain(n))
	}
	t.attrs("packages", p.Packages)
	t.attrs("images", p.Images)
	t.planSuites(p.Suites)
	if k := p.Kernel; k != nil {
		t.line("")
		t.para(t.bold("kernel")+"  ", string(k.Status)+": "+Plain(k.Why))
	}
	if len(p.Cases) > 0 {
		n := map[checks.Kind]int{}
		for _, c := range p.Cases {
			n[c.Kind]++
		}
		var words []string
		for _, kind := range []checks.Kind{checks.KindEval, checks.KindBuild, checks.KindInstall, checks.KindBoot, checks.KindTest} {
			if n[kind] > 0 {
				words = append(words, count(n[kind], planWord[kind]))
			}
		}
		t.line("")
		t.para(t.bold("to run")+"  ", and(words))
	}
	for _, o := range p.Omitted {
		t.para(t.tone("unknown", "not planned:")+" ", Plain(omission(o)))
	}
	if s := p.Stats; s != nil {
		how := fmt.Sprintf("evaluated in %.1f s", s.Seconds)
		if s.Remembered {
			how = fmt.Sprintf("remembered, looked up in %.1f s", s.Seconds)
		}
		if s.PeakMiB > 0 {
			how += fmt.Sprintf(", at most %d MiB a process", s.PeakMiB)
		}
		t.line("")
		t.line("%s", t.dim(how))
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

var planWord = map[checks.Kind]string{
	checks.KindEval: "evaluation", checks.KindBuild: "build", checks.KindInstall: "installation", checks.KindBoot: "boot", checks.KindTest: "test",
}

// planAnswer is the plan in a line.
func planAnswer(p *checks.Plan) string {
	n := map[string][]string{}
	add := func(what, name string) { n[what] = append(n[what], clip(Plain(name), 40)) }
	for kind, list := range map[string][]distro.AttrDiff{"package": p.Packages, "image": p.Images} {
		for _, a := range list {
			switch a.Status {
			case distro.StatusEvalStillFailing:
			case distro.StatusRefetch, distro.StatusRenamed:
				add(kind+" "+string(a.Status), a.Attr)
			case distro.StatusMeta:
				if kind == "image" { // what is run on the disk that it installs
					add(kind, a.Attr)
				} else {
					add(kind+" meta", a.Attr)
				}
			case distro.StatusRemoved:
				add(kind+" removed", a.Attr)
			case distro.StatusEvalFailed:
				if a.Failure != nil && a.Failure.Reason == distro.FailImportFrom {
					add(kind+" ifd", a.Attr)
				} else {
					add(kind+" broken", a.Attr)
				}
			default:
				add(kind, a.Attr)
			}
		}
	}
	for _, s := range p.Suites {
		if s.Run {
			add("suite", s.Name)
		}
	}
	var words []string
	if k := p.Kernel; k != nil && (k.Status == "changed" || k.Status == "unknown") {
		words = append(words, "the kernel")
	}
	for _, what := range []string{"package", "image", "suite"} {
		if len(n[what]) > 0 {
			words = append(words, named(n[what], what))
		}
	}
	var answer []string
	if len(words) > 0 {
		answer = append(answer, "affects "+and(words))
	}
	for _, more := range []struct{ what, one, many string }{
		{"removed", "is removed", "are removed"},
		{"broken", "does not evaluate", "do not evaluate"},
		{"renamed", "is renamed", "are renamed"},
		{"refetch", "is fetched anew and comes out the same", "are fetched anew and come out the same"},
		{"meta", "only says something else of itself", "only say something else of themselves"},
		{"ifd", "needs import from derivation, which is not allowed", "need import from derivation, which is not allowed"},
	} {
		for _, kind := range []string{"package", "image"} {
			switch names := n[kind+" "+more.what]; len(names) {
			case 0:
			case 1:
				answer = append(answer, named(names, kind)+" "+more.one)
			default:
				answer = append(answer, named(names, kind)+" "+more.many)
			}
		}
	}
	if len(answer) == 0 {
		return "nothing is affected"
	}
	return strings.Join(answer, "; ")
}

// named counts things, and names them where they are few.
func named(names []string, what string) string {
	if len(names) > 3 {
		return count(len(names), what)
	}
	return count(len(names), what) + " (" + strings.Join(names, ", ") + ")"
}

// statusMark is a sign and a tone for a status.
var statusMark = map[distro.Status][2]string{
	distro.StatusRebuilt: {"~", "warn"}, distro.StatusAdded: {"+", "good"}, distro.StatusRemoved: {"-", "bad"},
	distro.StatusRenamed: {">", "none"}, distro.StatusRefetch: {"↓", "none"}, distro.StatusMeta: {"·", "none"},
	distro.StatusEvalFailed: {"✗", "bad"}, distro.StatusEvalFixed: {"✓", "good"}, distro.StatusUnknown: {"?", "unknown"},
}

// shownAttrs bounds how many attributes a terminal is shown of one kind; the
// document has them all.
const shownAttrs = 40

// attrs lists attributes: those that a file of the change is about first, then what
// changed through others.
func (t *terminal) attrs(title string, list []distro.AttrDiff) {
	var shown, hidden int
	var failing []string
	heading := func() {
		if shown == 0 {
			t.line("")
			t.line("%s", t.bold(title))
		}
	}
	for _, roots := range []bool{true, false} {
		for _, a := range list {
			if a.Status == distro.StatusEvalStillFailing {
				if roots {
					failing = append(failing, clip(Plain(a.Attr), 40))
				}
				continue
			}
			if a.Root != roots {
				continue
			}
			if shown == shownAttrs {
				hidden++
				continue
			}
			heading()
			shown++
			t.attr(a)
		}
	}
	if hidden > 0 {
		t.line("  %s", t.dim(fmt.Sprintf("... and %d more; --json has them all", hidden)))
	}
	if len(failing) > 0 {
		heading()
		does := "do"
		if len(failing) == 1 {
			does = "does"
		}
		t.line("  %s", t.dim(fmt.Sprintf("%s did not evaluate before and %s not now", named(failing, strings.TrimSuffix(title, "s")), does)))
	}
}

func (t *terminal) attr(a distro.AttrDiff) {
	mark := statusMark[a.Status]
	name := clip(Plain(a.Attr), 60)
	head := fmt.Sprintf("  %s %s  %s", t.tone(mark[1], mark[0]), t.bold(name), t.dim(string(a.Status)))
	if len(a.Via) > 0 {
		var via []string
		for _, v := range a.Via {
			via = append(via, clip(Plain(v), 40))
		}
		head += "  " + name + " <- " + strings.Join(via, " <- ")
	}
	if a.From != "" {
		head += "  was " + clip(Plain(a.From), 60)
	}
	t.line("%s", head)
	if a.Failure != nil {
		text := Plain(a.Failure.Message)
		if a.Failure.File != "" {
			text += fmt.Sprintf(" (%s:%d)", Plain(a.Failure.File), a.Failure.Line)
		}
		t.para("      ", clip(string(a.Failure.Reason)+": "+text, 400))
	}
	for i, c := range a.Causes {
		if i == 4 && len(a.Causes) > 5 {
			t.line("      %s", t.dim(fmt.Sprintf("... and %d more", len(a.Causes)-i)))
			break
		}
		t.para("      ", causeLine(c))
	}
	if len(a.Referrers) > 0 {
		t.para("      ", "still used by "+Plain(strings.Join(a.Referrers, ", ")))
	}
}

func causeLine(c distro.Cause) string {
	place := Plain(c.File)
	if c.File != "" && c.Line > 0 {
		place += fmt.Sprintf(":%d", c.Line)
	}
	if place != "" {
		place += "  "
	}
	return place + clip(Plain(c.What), 300)
}

// planSuites lists the suites that run, and counts the others.
func (t *terminal) planSuites(list []checks.SuitePlan) {
	var idle int
	for i, s := range list {
		if i == 0 {
			t.line("")
			t.line("%s", t.bold("suites"))
		}
		switch {
		case s.Run:
			t.para(fmt.Sprintf("  %s %s  ", t.tone("warn", "▶"), t.bold(clip(Plain(s.Name), 60))), clip(Plain(s.Why), 400))
		case s.Failure != nil:
			t.para(fmt.Sprintf("  %s %s  ", t.tone("bad", "✗"), t.bold(clip(Plain(s.Name), 60))), clip(Plain(s.Why), 400))
		default:
			idle++
		}
	}
	if idle > 0 {
		t.line("  %s", t.dim(count(idle, "suite")+" need not run: system, cases and kernel are what they were"))
	}
}
