package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// view is a report arranged for a reader. Its texts are as they came; each
// renderer makes them harmless.
type view struct {
	*checks.Report
	// Answer is the headline's first part, Besides the others.
	Answer  string
	Besides []string
	// Rows are one per package, image and suite, the worst first.
	Rows []row
	// Failures are the cases to explain: what blocks first, then what could not
	// be looked at, then what failed before.
	Failures []failure
	// Fixed says of each case that is fixed how it failed before.
	Fixed []string
	// Unseen groups cases that could not be looked at by reason.
	Unseen []group
}

// row is what became of one package, image or suite.
type row struct {
	Of      distro.Kind
	Subject string
	// Eval, Build, Boot and Tests are its cells; Boot is also installing.
	Eval, Build, Boot, Tests cell
	// Was and Now are the worst of its cases at base and head.
	Was, Now checks.Status
	// Verdict is the one that matters most.
	Verdict checks.Verdict
	Cause   string
	// Rank orders rows; zero is the worst.
	Rank int
	// Remembered is the day of the oldest outcome that was not established in
	// this run, if all are remembered.
	Remembered string
}

// Mark is the symbol of the row's answer.
func (r row) Mark() string { return marks[tone(r.Rank)] }

// Change is base -> head in a word or two.
func (r row) Change() string {
	switch {
	case r.Was != r.Now:
		return string(r.Was) + " → " + string(r.Now)
	case r.Now != checks.Fail:
		return string(r.Now)
	}
	// Some fail on both sides: the numbers say whether they are the same.
	var was, now, n int
	for _, cell := range r.Cells() {
		for _, c := range cell.cases {
			n++
			if c.Was == checks.Pass {
				was++
			}
			if c.Now == checks.Pass {
				now++
			}
		}
	}
	return fmt.Sprintf("%d/%d → %d/%d pass", was, n, now, n)
}

// Tone is the row's colour: "bad", "unknown", "warn", "good" or "".
func (r row) Tone() string { return tone(r.Rank) }

// cell is one kind of cases of one subject.
type cell struct {
	cases []checks.Result
	// implied says that it holds though no case is about it: what was built or
	// booted has evaluated.
	implied bool
}

// The ranks of results and rows, worst first.
const (
	rankBlocks = iota
	rankUnseen
	rankUndecided
	rankStillFailing
	rankFlaky
	rankFixed
	rankNew
	rankRemoved
	rankSkip
	rankPassing
	rankNone
)

func rank(c checks.Result) int {
	switch {
	case c.Blocks():
		return rankBlocks
	case c.Now == checks.Error:
		return rankUnseen
	case c.Waived != "":
		return rankStillFailing
	case c.Unsettled() && c.Now != checks.Fail:
		return rankUnseen
	case c.Verdict == checks.Undecided && c.Now == checks.Fail:
		return rankUndecided
	case c.Verdict == checks.StillFailing:
		return rankStillFailing
	case c.Verdict == checks.Flaky:
		return rankFlaky
	case c.Verdict == checks.Fixed:
		return rankFixed
	case c.Verdict == checks.Removed:
		return rankRemoved
	case c.Now == checks.Skip:
		return rankSkip
	case c.Verdict == checks.New:
		return rankNew
	default:
		return rankPassing
	}
}

// tone is the colour of a rank.
func tone(rank int) string {
	switch rank {
	case rankBlocks:
		return "bad"
	case rankUnseen, rankUndecided:
		return "unknown"
	case rankStillFailing, rankFlaky:
		return "warn"
	case rankFixed, rankNew, rankPassing:
		return "good"
	}
	return "none"
}

// marks are the symbols of tones: each differs in shape, for those who do not
// see the colour.
var marks = map[string]string{"bad": "✗", "unknown": "?", "warn": "!", "good": "✓", "none": "–"}

// Tone is the colour of the cell's worst case.
func (c cell) Tone() string {
	if c.implied {
		return "good"
	}
	return tone(c.rank())
}

func (c cell) rank() int {
	worst := rankNone
	for _, r := range c.cases {
		worst = min(worst, rank(r))
	}
	return worst
}

// Text says the cell in a word or two: "✓", "✗ regressed", "2/3 ✗ 1 regressed".
func (c cell) Text() string {
	if c.implied {
		return "✓"
	}
	if len(c.cases) == 0 {
		return ""
	}
	if len(c.cases) == 1 {
		r := c.cases[0]
		switch {
		case r.Verdict == checks.Passing:
			return "✓"
		case r.Verdict == checks.New && r.Now == checks.Pass:
			return "✓ new"
		case rank(r) == rankSkip:
			return "– skipped"
		}
		return marks[tone(rank(r))] + " " + word(r)
	}
	var pass int
	words := map[string]int{}
	order := []checks.Result{}
	for _, r := range c.cases {
		if r.Now == checks.Pass {
			pass++
		}
		if rank(r) < rankNew || r.Verdict == checks.Removed {
			if words[word(r)] == 0 {
				order = append(order, r)
			}
			words[word(r)]++
		}
	}
	slices.SortStableFunc(order, func(a, b checks.Result) int { return cmp.Compare(rank(a), rank(b)) })
	text := fmt.Sprintf("%s %d/%d", marks[c.Tone()], pass, len(c.cases))
	for _, r := range order {
		text += fmt.Sprintf(", %d %s", words[word(r)], word(r))
	}
	return text
}

// Short is Text with the worst verdict alone.
func (c cell) Short() string {
	s, _, more := strings.Cut(c.Text(), ", ")
	if !more {
		return s
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(c.Text(), s+", "), ", ")
	return s + ", " + first
}

// word is the verdict as a reader says it.
func word(r checks.Result) string {
	switch {
	case r.Waived != "":
		return "waived"
	case r.Now == checks.Error:
		return "not looked at"
	case r.Verdict == checks.Undecided && r.Now == checks.Fail:
		return "fails (base unknown)"
	case r.Verdict == checks.Undecided && r.Now == checks.Skip:
		return "skipped"
	case r.Verdict == checks.Undecided:
		return "unknown"
	case r.Verdict == checks.New && r.Now == checks.Fail:
		return "new and failing"
	case r.Verdict == checks.StillFailing:
		return "still failing"
	}
	return string(r.Verdict)
}

// failure is a case to explain.
type failure struct {
	checks.Result
	// Title is the case in a few words.
	Title string
	// Machine is the one it ran in, where there was one.
	Machine *checks.Machine
	// Explained are two sentences on a known kind of Nix error, with names and
	// code between backticks.
	Explained string
	// Others failed in the same way: the same kind, verdict and title.
	Others []checks.Result
}

// About says which case it is: "build of package sed", `test "lua starts" of
// suite languages`.
func (f failure) About() string {
	of := ofWord(f.Of) + " " + clip(Plain(f.Subject), 100)
	switch f.Kind {
	case checks.KindEval:
		return "evaluation of " + of
	case checks.KindBuild:
		return "build of " + of
	case checks.KindInstall:
		return "installation of " + of
	case checks.KindBoot:
		return "boot of " + of
	case checks.KindLint:
		return "rule " + quote(f.Name) + " of " + of
	}
	return "test " + quote(f.Name) + " of " + of
}

// fixed says in a line how a case failed that passes now.
func fixed(c checks.Result) string {
	words := failure{Result: c}.About() + ": " + firstLine(c.Reason)
	if len(c.Likely) > 0 {
		words += "; likely cause then: the kernel logged " + strings.Join(c.Likely, ", ")
	}
	return clip(Plain(words), 1000)
}

func quote(name string) string { return "“" + clip(Plain(name), 100) + "”" }

// AlsoFailing names the others.
func (f failure) AlsoFailing() string {
	if len(f.Others) == 0 {
		return ""
	}
	var names []string
	for _, c := range f.Others {
		names = append(names, clip(Plain(c.Subject), 60)+" "+clip(Plain(c.Name), 60))
	}
	return fmt.Sprintf("%s: %s", count(len(names), "other case"), some(names, 8, ""))
}

// Fault says whose it is, in a sentence.
func (f failure) Fault() string { return Fault(f.Result) }

// Fault says whose fault a failure is, and how that is known; empty where it
// is not said.
func Fault(f checks.Result) string {
	switch f.Blame {
	case checks.BlameKernel:
		if f.Of == distro.KindKernel {
			return "the kernel's: it is what does not build"
		}
		return "the kernel's: the same case passes on the control kernel"
	case checks.BlamePackage:
		switch f.Kind {
		case checks.KindEval, checks.KindBuild, checks.KindLint:
			return "the package's: the kernel under test has no part in this stage"
		case checks.KindInstall:
			return "the installer's: it runs on its own kernel, not on the one under test"
		}
		return "the package's or the test's: it fails in the same way on the control kernel"
	case checks.BlameInfra:
		return "infrastructure: this says nothing about the change"
	case checks.BlameUnknown:
		if f.Control == "" || f.Control == checks.Error || f.Control == checks.Unknown {
			return "unknown: no control kernel could tell"
		}
		return "unknown: on the control kernel it fails differently, or the control did not get far enough"
	}
	return ""
}

// Runs says how often it was run, where that matters.
func (f failure) Runs() string {
	switch {
	case f.Passes > 0 && f.Passes < f.Attempts:
		s := fmt.Sprintf("passed %d of %d times", f.Passes, f.Attempts)
		if f.WasAttempts > 0 {
			s += fmt.Sprintf("; %d of %d at base", f.WasPasses, f.WasAttempts)
		}
		return s
	case f.Attempts > 1:
		return fmt.Sprintf("failed %d times of %d", f.Attempts-f.Passes, f.Attempts)
	}
	return ""
}

// group is a number of cases with one reason.
type group struct {
	Reason string
	Cases  []checks.Result
}

// arrange makes the view of a report.
func arrange(r *checks.Report) view {
	v := view{Report: r}
	v.Answer, v.Besides = headline(r)
	v.Rows = rows(r)
	reasons := map[string]int{}
	same := map[[4]string]int{}
	machines := map[string]*checks.Machine{}
	for i := range r.Machines {
		if m := &r.Machines[i]; m.Name != "" && machines[m.Name] == nil {
			machines[m.Name] = m
		}
	}
	for _, c := range r.Cases {
		switch k := rank(c); {
		case k == rankFixed && c.Reason != "":
			v.Fixed = append(v.Fixed, fixed(c))
		case k == rankUnseen:
			reason := firstLine(c.Reason)
			i, ok := reasons[reason]
			if !ok {
				i = len(v.Unseen)
				reasons[reason] = i
				v.Unseen = append(v.Unseen, group{Reason: reason})
			}
			v.Unseen[i].Cases = append(v.Unseen[i].Cases, c)
		case k < rankFixed:
			way := [4]string{string(c.Kind), string(c.Verdict), string(c.Blame), c.Title}
			if i, ok := same[way]; ok && c.Title != "" {
				v.Failures[i].Others = append(v.Failures[i].Others, c)
				continue
			}
			same[way] = len(v.Failures)
			v.Failures = append(v.Failures, failure{Result: c, Title: Sentence(c), Machine: machines[c.Machine], Explained: Explained(c)})
		}
	}
	slices.SortStableFunc(v.Failures, func(a, b failure) int { return cmp.Compare(rank(a.Result), rank(b.Result)) })
	slices.SortStableFunc(v.Unseen, func(a, b group) int { return cmp.Compare(len(b.Cases), len(a.Cases)) })
	return v
}

// rows gathers the cases by what they are about. A test counts for its suite,
// and for its package where the report has a row for that.
func rows(r *checks.Report) []row {
	type key struct {
		of      distro.Kind
		subject string
	}
	index := map[key]int{}
	var out []row
	at := func(k key) *row {
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, row{Of: k.of, Subject: k.subject, Rank: rankNone})
		}
		return &out[i]
	}
	put := func(row *row, c checks.Result) {
		switch c.Kind {
		case checks.KindEval, checks.KindLint:
			row.Eval.cases = append(row.Eval.cases, c)
		case checks.KindBuild:
			row.Build.cases = append(row.Build.cases, c)
		case checks.KindInstall, checks.KindBoot:
			row.Boot.cases = append(row.Boot.cases, c)
		default:
			row.Tests.cases = append(row.Tests.cases, c)
		}
	}
	for _, c := range r.Cases {
		put(at(key{c.Of, c.Subject}), c)
	}
	commands := map[string]bool{} // suites that run through a command: nothing evaluates
	if r.Plan != nil {
		for _, s := range r.Plan.Suites {
			commands[s.Name] = s.Command
		}
	}
	for i := range out {
		if out[i].Of == distro.KindSuite && commands[out[i].Subject] {
			continue
		}
		out[i].Eval.implied = len(out[i].Eval.cases) == 0 && slices.ContainsFunc(slices.Concat(out[i].Build.cases, out[i].Boot.cases, out[i].Tests.cases), func(c checks.Result) bool {
			return c.Of != "" && c.Of != distro.KindKernel && (c.Now == checks.Pass || c.Now == checks.Fail)
		})
	}
	for _, c := range r.Cases {
		if i, ok := index[key{distro.KindPackage, c.Package}]; ok && c.Kind == checks.KindTest && c.Of != distro.KindPackage {
			put(&out[i], c)
		}
	}
	causes := planned(r.Plan)
	for i := range out {
		out[i].settle(causes[attr{out[i].Of, out[i].Subject}])
	}
	slices.SortStableFunc(out, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(slices.Index(order, a.Of), slices.Index(order, b.Of)), cmp.Compare(a.Subject, b.Subject))
	})
	return out
}

var order = []distro.Kind{distro.KindKernel, distro.KindPackage, distro.KindImage, distro.KindSuite}

type attr struct {
	of   distro.Kind
	name string
}

// planned are the causes the plan gives, by attribute.
func planned(p *checks.Plan) map[attr]string {
	out := map[attr]string{}
	if p == nil {
		return out
	}
	for _, d := range p.Packages {
		out[attr{distro.KindPackage, d.Attr}] = cause(d.Causes, d.Via)
	}
	for _, d := range p.Images {
		out[attr{distro.KindImage, d.Attr}] = cause(d.Causes, d.Via)
	}
	for _, s := range p.Suites {
		c := cause(s.Causes, s.Via)
		if c == "" {
			c = s.Why
		}
		out[attr{distro.KindSuite, s.Name}] = c
	}
	return out
}

// settle sums up the cells.
func (r *row) settle(cause_ string) {
	r.Cause = cause_
	worstWas, worstNow := -1, -1
	remembered, all := "", true
	for _, cell := range r.Cells() {
		for _, c := range cell.cases {
			if k := rank(c); k < r.Rank {
				r.Rank, r.Verdict = k, c.Verdict
				own := c.Of == r.Of && c.Subject == r.Subject
				if len(c.Causes) > 0 && (r.Cause == "" || own && k == rankBlocks) {
					r.Cause = cause(c.Causes, c.Via)
				}
			}
			if i := slices.Index(severity, c.Was); i > worstWas {
				worstWas, r.Was = i, c.Was
			}
			if i := slices.Index(severity, c.Now); i > worstNow {
				worstNow, r.Now = i, c.Now
			}
			if c.Remembered == "" {
				all = false
			} else if day, _, _ := strings.Cut(c.Remembered, "T"); remembered == "" || day < remembered {
				remembered = day
			}
		}
	}
	if all {
		r.Remembered = remembered
	}
}

// severity orders statuses, the best first.
var severity = []checks.Status{checks.Absent, checks.Skip, checks.Pass, checks.Unknown, checks.Error, checks.Fail}

// cause says the first root cause in a line: "overlays/lua/0002-x.patch:1,
// patches +0002-x.patch", and for what changed through an input the way there.
func cause(causes []distro.Cause, via []string) string {
	var s string
	// One with a place says more than one without.
	causes = slices.Clone(causes)
	slices.SortStableFunc(causes, func(a, b distro.Cause) int { return cmp.Compare(placed(b), placed(a)) })
	for _, c := range causes {
		switch {
		case c.File != "" && c.Line > 0:
			s = fmt.Sprintf("%s:%d", c.File, c.Line)
		case c.File != "":
			s = c.File
		}
		if s != "" && c.What != "" {
			s += ", " + c.What
		} else if s == "" {
			s = c.What
		}
		if s != "" {
			break
		}
	}
	if len(causes) > 1 && s != "" {
		s += fmt.Sprintf(" (and %d more)", len(causes)-1)
	}
	if len(via) > 0 {
		way := "through " + strings.Join(via[:min(3, len(via))], " ← ")
		if len(via) > 3 {
			way += " ← … ← " + via[len(via)-1]
		}
		if s == "" {
			return way
		}
		s += " " + way
	}
	return s
}

// placed is 1 for a cause whose file is known.
func placed(c distro.Cause) int {
	if c.File == "" {
		return 0
	}
	return 1
}

// Explained is what is known of common Nix errors where an evaluation or a build
// failed with one, with names and code between backticks; else it is empty.
func Explained(c checks.Result) string {
	if c.Kind != checks.KindEval && c.Kind != checks.KindBuild {
		return ""
	}
	e, ok := distro.Explain(strings.Join(append([]string{c.Reason}, c.Tail...), "\n"))
	if !ok {
		return ""
	}
	return e.What + " " + e.Do
}

// Cells are the row's four kinds of cases.
func (r row) Cells() []cell { return []cell{r.Eval, r.Build, r.Boot, r.Tests} }

// Link is the place in the page where the cell's worst failure is explained.
func (c cell) Link() string {
	worst := rankFixed
	var id string
	for _, r := range c.cases {
		if k := rank(r); k < worst && k != rankUnseen {
			worst, id = k, anchor(r.Case)
		}
	}
	return id
}

// Mark is the failure's symbol, Tone its colour.
func (f failure) Mark() string { return marks[f.Tone()] }

// Tone is the failure's colour.
func (f failure) Tone() string { return tone(rank(f.Result)) }
