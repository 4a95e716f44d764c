package suite

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/checks"
)

// tap reads the Test Anything Protocol, versions 12 to 14, and the kernel's
// dialect KTAP. Of subtests the leaves are the cases, named PARENT/CHILD.
//
// It may be recorded from a console: a carriage return, colours and lines of
// the kernel's own do not disturb it.
type tap struct {
	textLines
	seen    bool // anything of TAP
	levels  []tapLevel
	yaml    bool // in a block of diagnostics
	bailed  string
	problem string
	cases   []parsedCase
	after   int // index of the case that diagnostics are about, -1 for none
}

// tapLevel is one depth of subtests.
type tapLevel struct {
	indent  int
	planned int // -1 for none
	count   int
	cases   []int // indices of the leaves below that no parent has named yet
}

func newTAP() *tap {
	t := &tap{after: -1}
	t.Line = t.line
	return t
}

var (
	tapVersion = regexp.MustCompile(`^( *)K?TAP version \d+\s*$`)
	tapPlan    = regexp.MustCompile(`^( *)1\.\.(\d+)(?:\s*#\s*(.*))?\s*$`)
	tapPoint   = regexp.MustCompile(`^( *)(not )?ok\b(?: +(\d+))?(?: +-)? ?(.*)$`)
	tapBail    = regexp.MustCompile(`^ *Bail out!\s*(.*)$`)
	// tapTail is what follows a description: a directive, or a remark such as a
	// duration, which would make a new name each time.
	tapTail = regexp.MustCompile(`(?:^|\s)#\s*(.*)$`)
)

func (t *tap) line(s string) {
	trimmed := strings.TrimSpace(s)
	switch {
	case t.yaml && trimmed == "...":
		t.yaml = false
		t.attach()
	case t.yaml:
		t.remember(trimmed)
	case trimmed == "---":
		t.yaml = true
	case tapVersion.MatchString(s):
		t.seen = true
		if len(t.levels) == 0 {
			t.at(len(tapVersion.FindStringSubmatch(s)[1]))
		}
	case tapPlan.MatchString(s):
		m := tapPlan.FindStringSubmatch(s)
		t.plan(len(m[1]), m[2], m[3])
	case tapBail.MatchString(s):
		t.seen = true
		if t.bailed == "" {
			t.bailed = strings.TrimSpace("it bailed out: " + tapBail.FindStringSubmatch(s)[1])
		}
	case tapPoint.MatchString(s):
		m := tapPoint.FindStringSubmatch(s)
		t.point(len(m[1]), m[2] == "", m[3], m[4])
	case strings.HasPrefix(trimmed, "#"):
		if said := strings.TrimSpace(strings.TrimPrefix(trimmed, "#")); said != "" {
			t.remember(said)
			t.attach()
		}
	case trimmed != "" && t.after < 0:
		t.remember(s)
	}
}

// end ends the levels that are deeper than an indentation: their subtests are
// over. It returns their cases.
func (t *tap) end(indent int) []int {
	var children []int
	for n := len(t.levels); n > 0 && t.levels[n-1].indent > indent; n = len(t.levels) {
		t.incomplete(t.levels[n-1])
		children = append(t.levels[n-1].cases, children...)
		t.levels = t.levels[:n-1]
	}
	return children
}

// at returns the level of an indentation.
func (t *tap) at(indent int) *tapLevel {
	if n := len(t.levels); n == 0 || t.levels[n-1].indent < indent {
		t.levels = append(t.levels, tapLevel{indent: indent, planned: -1})
	}
	return &t.levels[len(t.levels)-1]
}

// incomplete notes a level whose plan was not kept.
func (t *tap) incomplete(l tapLevel) {
	if l.planned >= 0 && l.planned != l.count && t.problem == "" {
		t.problem = fmt.Sprintf("it planned %d tests and told of %d", l.planned, l.count)
	}
}

func (t *tap) plan(indent int, number, remark string) {
	t.seen = true
	n, err := strconv.Atoi(number)
	if err != nil {
		n = maxParsed + 1
	}
	children := t.end(indent)
	l := t.at(indent)
	l.cases = append(l.cases, children...)
	l.planned = n
	if n == 0 && remark != "" && len(t.levels) == 1 {
		all := parsedCase{name: "all", status: checks.Skip}
		t.describe("# "+remark, &all)
		t.add(all)
	}
}

// point takes a test point.
func (t *tap) point(indent int, ok bool, number, rest string) {
	t.seen = true
	children := t.end(indent)
	l := t.at(indent)
	l.count++
	c := parsedCase{status: checks.Pass}
	if !ok {
		c.status = checks.Fail
	}
	c.name = t.describe(rest, &c)
	if c.name == "" {
		c.name = "test " + number
		if number == "" {
			c.name = fmt.Sprintf("test %d", l.count)
		}
	}
	failing := false
	for _, i := range children {
		t.cases[i].name = c.name + "/" + t.cases[i].name
		failing = failing || t.cases[i].status == checks.Fail
	}
	l.cases = append(l.cases, children...)
	switch {
	case len(children) > 0 && (c.status != checks.Fail || failing):
		t.after = -1 // the leaves say it all
		t.take()
		return
	case c.status == checks.Fail:
		c.tail = t.take() // KTAP's diagnostics come before the point
		if n := len(c.tail); n > 0 {
			c.reason = c.tail[n-1]
		}
	}
	t.take()
	if i := t.add(c); i >= 0 {
		l.cases = append(l.cases, i)
	}
}

// describe takes a point's description apart.
func (t *tap) describe(rest string, c *parsedCase) string {
	rest = strings.ReplaceAll(rest, `\#`, "\x00")
	remark := ""
	if m := tapTail.FindStringSubmatchIndex(rest); m != nil {
		remark, rest = rest[m[2]:m[3]], rest[:m[0]]
	}
	word, why, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(remark, "\x00", "#")), " ")
	switch upper := strings.ToUpper(word); {
	case strings.HasPrefix(upper, "SKIP"):
		c.status, c.reason = checks.Skip, strings.TrimSpace(why)
	case strings.HasPrefix(upper, "TODO") && c.status == checks.Fail:
		c.status, c.reason = checks.Skip, strings.TrimSpace("expected to fail: "+why)
	}
	return strings.TrimSpace(strings.NewReplacer("\x00", "#", `\\`, `\`).Replace(rest))
}

// attach gives what was said after a failing point to it.
func (t *tap) attach() {
	if t.after < 0 || t.cases[t.after].status != checks.Fail {
		return
	}
	c := &t.cases[t.after]
	c.tail = append(c.tail, t.take()...)
	c.tail = c.tail[max(0, len(c.tail)-tailLines):]
	c.reason = strings.Join(c.tail, "; ")
	if len(c.tail) > 3 {
		c.reason = c.tail[len(c.tail)-1]
	}
}

func (t *tap) add(c parsedCase) int {
	if len(t.cases) >= maxParsed {
		t.problem = fmt.Sprintf("it told of more than %d tests", maxParsed)
		return -1
	}
	t.cases = append(t.cases, c)
	t.after = len(t.cases) - 1
	return t.after
}

func (t *tap) finish() parsed {
	t.Flush()
	p := parsed{stage: "test"}
	planned := -1
	if t.seen && len(t.levels) > 0 {
		t.end(t.levels[0].indent)
		top := &t.levels[0]
		planned = top.planned
		t.incomplete(*top)
	}
	p.cases = t.cases
	switch {
	case !t.seen:
		p.stage, p.problem = "boot", "it printed no test results"
	case t.bailed != "":
		p.problem = t.bailed
	case t.problem != "":
		p.problem = t.problem
	case len(t.cases) == 0:
		p.problem = "it ran no tests"
	case planned < 0:
		p.problem = "its results have no plan, so some may be missing"
	}
	return p
}
