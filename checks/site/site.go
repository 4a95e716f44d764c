// Package site turns reports into a static site that answers "does my program
// run on this kernel?".
//
// Build reads any number of reports, oldest first by their time, into a
// Site: what each package does, since when, and what holds it back. Write
// leaves pages, badges and JSON in a folder that any web server can serve; they
// are readable without scripts. Reports are artifacts of jobs that ran other
// people's code: their texts are hostile.
package site

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

// Source is a report and its folder.
type Source struct {
	Report *checks.Report
	// Files is where consoles are taken from; it may be nil.
	Files fs.FS
}

// State is whether a package works.
type State string

// The states of a package, best first. Unclear and Untried say why nothing can
// be said: it fails and nobody knows whose fault it is; or nothing was run.
const (
	Works   State = "works"
	Kernel  State = "kernel"  // fails because of the kernel
	Package State = "package" // fails on Linux too
	Broken  State = "broken"  // does not evaluate or build
	Unclear State = "unclear"
	Untried State = "untried"
)

// States are all of them, in the order in which they are shown.
var States = []State{Works, Kernel, Package, Broken, Unclear, Untried}

// Text says a state of one package to a reader.
func (s State) Text() string { return s.of(1) }

// of says it of so many packages.
func (s State) of(n int) string {
	verb := func(one, many, rest string) string {
		if n == 1 {
			return one + rest
		}
		return many + rest
	}
	switch s {
	case Works:
		return verb("works", "work", "")
	case Kernel:
		return verb("fails", "fail", " because of the kernel")
	case Package:
		return verb("fails", "fail", " on Linux too")
	case Broken:
		return verb("does", "do", " not build")
	case Unclear:
		return verb("fails", "fail", " for an unknown reason")
	}
	return "not tried"
}

// Site is everything the pages show.
type Site struct {
	// Packages are sorted by name.
	Packages []Entry `json:"packages"`
	// Missing are the kernel's lines that failing cases alone logged, those
	// first that hold most packages back.
	Missing []Missing `json:"missing"`
	// Updated is the time of the newest report, Kernel and Commit what it
	// tested.
	Updated time.Time `json:"updated,omitzero"`
	Kernel  string    `json:"kernel,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	Reports int       `json:"reports"`
}

// Entry is one package.
type Entry struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	State   State  `json:"state"`
	// Reason is one sentence, unless it works.
	Reason string `json:"reason,omitempty"`
	// Since is the oldest moment from which on it has been in this state
	// without a break.
	Since Moment `json:"since"`
	// Likely are the kernel's lines that may be the cause.
	Likely []string `json:"likely,omitempty"`
	// Cases are what is known of it, the newest outcome of each.
	Cases []Case `json:"cases"`
	// History has an entry per report that says something of it, newest first;
	// Kernels one per kernel version, newest first.
	History []Moment `json:"history"`
	Kernels []Moment `json:"kernels,omitempty"`
	// File is the name of its page and badge, without ending.
	File string `json:"file"`
}

// Moment is what a report said of a package.
type Moment struct {
	Time   time.Time `json:"time,omitzero"`
	Commit string    `json:"commit,omitempty"`
	Kernel string    `json:"kernel,omitempty"`
	State  State     `json:"state"`
	// Passed of Run cases passed.
	Passed int `json:"passed"`
	Run    int `json:"run"`
}

// Case is the newest outcome of a case of a package.
type Case struct {
	checks.Case
	Now    checks.Status `json:"now"`
	Blame  checks.Blame  `json:"blame,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Likely []string      `json:"likely,omitempty"`
	Tail   []string      `json:"tail,omitempty"`
	At     Moment        `json:"at"`

	// Console is the end of the console of the machine in which it failed.
	Console template.HTML `json:"-"`
}

// held are the kernel's lines that may hold the case back: none where it fails
// on Linux too.
func (c Case) held() []string {
	if c.Now != checks.Fail || c.Blame == checks.BlamePackage {
		return nil
	}
	return c.Likely
}

// Missing is a line that the kernel logged for what it lacks, and the packages
// whose cases alone logged it.
type Missing struct {
	Line     string   `json:"line"`
	Packages []string `json:"packages"`
	// Cases counts the failing cases that logged it.
	Cases int `json:"cases"`
}

// maxConsole is how much of a console's end a page shows.
const maxConsole = 32 << 10

// Build makes a site of reports, in any order.
func Build(sources []Source) *Site {
	sources = slices.Clone(sources)
	slices.SortStableFunc(sources, func(a, b Source) int { return a.Report.Started.Compare(b.Report.Started) })
	s := &Site{Reports: len(sources), Packages: []Entry{}, Missing: []Missing{}}
	known := map[string]*gathered{}
	for _, src := range sources {
		r := src.Report
		if r.Conclusion == checks.Skipped || len(r.Cases) == 0 {
			continue // nothing affected: nothing new is known
		}
		now := Moment{Time: r.Started, Commit: commit(r.Change), Kernel: report.Plain(r.Versions["kernel"])}
		if !now.Time.Before(s.Updated) {
			s.Updated, s.Kernel, s.Commit = now.Time, now.Kernel, now.Commit
		}
		touched := map[string]bool{}
		for _, c := range r.Cases {
			name := packageOf(c)
			if name == "" {
				continue
			}
			g := known[name]
			if g == nil {
				g = &gathered{cases: map[checks.Case]Case{}}
				known[name] = g
			}
			if g.take(c, now, src) {
				touched[name] = true
			}
		}
		for name := range touched {
			known[name].remember(now)
		}
	}
	missing := map[string]*Missing{}
	files := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		g := known[name]
		if len(g.history) == 0 {
			g.remember(Moment{})
		}
		e := g.entry(name, files)
		s.Packages = append(s.Packages, e)
		for _, c := range e.Cases {
			for _, line := range c.held() {
				line = report.Plain(line)
				m := missing[line]
				if m == nil {
					m = &Missing{Line: line}
					missing[line] = m
				}
				m.Cases++
				if !slices.Contains(m.Packages, name) {
					m.Packages = append(m.Packages, name)
				}
			}
		}
	}
	for _, m := range missing {
		s.Missing = append(s.Missing, *m)
	}
	slices.SortFunc(s.Missing, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(len(b.Packages), len(a.Packages)), cmp.Compare(b.Cases, a.Cases), cmp.Compare(a.Line, b.Line))
	})
	return s
}

// packageOf names the package that a case says something about.
func packageOf(c checks.Result) string {
	switch {
	case c.Kind == checks.KindLint:
		return ""
	case c.Of == distro.KindPackage:
		return c.Subject
	case c.Kind == checks.KindTest:
		return c.Package
	}
	return ""
}

func commit(c distro.Change) string {
	return report.Plain(cmp.Or(c.Merged, c.Head))
}

// gathered is what is known of a package while reports are read.
type gathered struct {
	cases   map[checks.Case]Case
	version string
	history []Moment // oldest first
}

// take keeps the outcome of a case unless it says nothing: what could not be
// looked at leaves the older outcome standing. It reports whether it was kept.
func (g *gathered) take(c checks.Result, now Moment, src Source) bool {
	if c.Version != "" {
		g.version = c.Version
	}
	switch c.Now {
	case checks.Absent:
		_, had := g.cases[c.Case]
		delete(g.cases, c.Case)
		return had
	case checks.Pass, checks.Fail, checks.Skip:
	default:
		return false
	}
	k := Case{Case: c.Case, Now: c.Now, Blame: c.Blame, Reason: c.Reason, At: now}
	if c.Now == checks.Fail {
		k.Likely, k.Tail = c.Likely, c.Tail
		k.Console = console(src, c.Machine)
	}
	g.cases[c.Case] = k
	return true
}

// remember adds a moment to the history.
func (g *gathered) remember(now Moment) {
	now.State = g.state()
	for _, c := range g.cases {
		if c.Now == checks.Skip {
			continue
		}
		now.Run++
		if c.Now == checks.Pass {
			now.Passed++
		}
	}
	g.history = append(g.history, now)
}

// state sums the cases up. That something builds does not say that it works:
// some test has to have passed, and none failed.
func (g *gathered) state() State {
	var tested bool
	worst := Works
	for _, c := range g.cases {
		if c.Now == checks.Pass && c.Kind == checks.KindTest {
			tested = true
		}
		if c.Now != checks.Fail {
			continue
		}
		s := Unclear
		switch {
		case c.Blame == checks.BlameKernel:
			s = Kernel
		case c.Kind == checks.KindEval || c.Kind == checks.KindBuild:
			s = Broken
		case c.Blame == checks.BlamePackage:
			s = Package
		}
		// The kernel's fault is what a reader of this page asks for first.
		if worst == Works || slices.Index(States, s) < slices.Index(States, worst) {
			worst = s
		}
	}
	if worst == Works && !tested {
		return Untried
	}
	return worst
}

func (g *gathered) entry(name string, files map[string]bool) Entry {
	e := Entry{Name: name, Version: g.version, File: fileName(name, files)}
	e.Cases = slices.SortedFunc(maps.Values(g.cases), func(a, b Case) int {
		return cmp.Or(cmp.Compare(severity(a.Now), severity(b.Now)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Name, b.Name))
	})
	if e.Cases == nil {
		e.Cases = []Case{}
	}
	e.State = g.state()
	for _, c := range e.Cases {
		if c.Now != checks.Fail {
			continue
		}
		if e.Reason == "" {
			e.Reason = report.Plain(c.Subject + ": " + c.Name + ": " + c.Reason)
		}
		for _, l := range c.held() {
			if l = report.Plain(l); !slices.Contains(e.Likely, l) {
				e.Likely = append(e.Likely, l)
			}
		}
	}
	if e.State == Untried {
		e.Reason = untried(e.Cases)
	}
	e.History = slices.Clone(g.history)
	slices.Reverse(e.History)
	e.Since = e.History[0]
	for _, m := range e.History {
		if m.State != e.State {
			break
		}
		e.Since = m
	}
	seen := map[string]bool{}
	for _, m := range e.History {
		if m.Kernel != "" && !seen[m.Kernel] {
			seen[m.Kernel] = true
			e.Kernels = append(e.Kernels, m)
		}
	}
	return e
}

// untried says why nothing can be said.
func untried(cases []Case) string {
	for _, c := range cases {
		if c.Now == checks.Skip && c.Reason != "" {
			return report.Plain(c.Reason)
		}
	}
	for _, c := range cases {
		if c.Kind == checks.KindBuild && c.Now == checks.Pass {
			return "it builds, but no test runs it"
		}
	}
	return "nothing has run it yet"
}

func severity(s checks.Status) int {
	return slices.Index([]checks.Status{checks.Fail, checks.Skip, checks.Pass}, s)
}

// console is the end of what a machine said, if its report is at hand.
func console(src Source, machine string) template.HTML {
	if src.Files == nil || machine == "" {
		return ""
	}
	for _, m := range src.Report.Machines {
		if m.Name != machine {
			continue
		}
		for _, device := range []string{"hvc0", "ttyS0"} {
			p := m.Consoles[device]
			if p == "" || !fs.ValidPath(p) {
				continue
			}
			if raw := end(src.Files, p); len(raw) > 0 {
				return report.Console(raw)
			}
		}
	}
	return ""
}

// end reads the last maxConsole bytes of a plain file.
func end(files fs.FS, name string) []byte {
	f, err := files.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if s, ok := f.(io.Seeker); ok && info.Size() > maxConsole {
		if _, err := s.Seek(-maxConsole, io.SeekEnd); err != nil {
			return nil
		}
	}
	raw, _ := io.ReadAll(io.LimitReader(f, maxConsole)) // half a console is better than none
	return raw
}

// fileName is a name for a package's files that every file system and web
// server takes; two packages never share one.
func fileName(name string, taken map[string]bool) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '+':
			return r
		case r == '.':
			return r
		}
		return '-'
	}, name)
	safe = strings.TrimLeft(safe, ".-")
	if len(safe) > 80 {
		safe = safe[:80]
	}
	if safe == "" {
		safe = "package"
	}
	file := safe
	for n := 2; taken[strings.ToLower(file)]; n++ {
		file = fmt.Sprintf("%s~%d", safe, n)
	}
	taken[strings.ToLower(file)] = true
	return file
}

// Count says how many packages are in a state.
func (s *Site) Count(state State) int {
	var n int
	for _, p := range s.Packages {
		if p.State == state {
			n++
		}
	}
	return n
}

// Summary is the site in one line.
func (s *Site) Summary() string {
	if len(s.Packages) == 0 {
		return fmt.Sprintf("no package in %d reports", s.Reports)
	}
	parts := []string{fmt.Sprintf("%d of %d packages work", s.Count(Works), len(s.Packages))}
	for _, state := range States[1:] {
		if n := s.Count(state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state.of(n)))
		}
	}
	return strings.Join(parts, ", ")
}

// FileOf is the name of a package's page.
func (s *Site) FileOf(name string) string {
	i, ok := slices.BinarySearchFunc(s.Packages, name, func(e Entry, n string) int { return cmp.Compare(e.Name, n) })
	if !ok {
		return ""
	}
	return s.Packages[i].File
}
