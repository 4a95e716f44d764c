package suite

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/checks"
)

// nixosTest reads the output of Asterinas' own NixOS test runner, which drives
// a console by scraping prompts:
//
//	=== Found 2 test case(s) ===
//	--> Waiting for login prompt...
//	=== Running test case: NAME ===
//	--> Running: CMD (expecting: TEXT)
//	✓ Test case 'NAME' passed
//	✗ Test case 'NAME' failed
//	=== Test Summary ===
//	Passed: 1
//	Failed: 1
//
// Where it ends says what failed: nothing found is the harness or the build,
// no case begun is the boot, a case without a mark was killed or ran out of
// time.
type nixosTest struct {
	textLines
	found   int // -1 until it is said
	waiting bool
	summary bool
	passed  int
	failed  int // as the summary has it, -1 until it is said
	running string
	began   bool
	doing   string // the command of the running case
	problem string // the error block of the running case
	cases   []parsedCase
}

func newNixOSTest() *nixosTest {
	n := &nixosTest{found: -1, passed: -1, failed: -1}
	n.Line = n.line
	return n
}

var (
	nixosFound   = regexp.MustCompile(`^=== Found (\d+) test cases?(?:\(s\))? ===`)
	nixosRunning = regexp.MustCompile(`^=== Running test case: (.+) ===\s*$`)
	nixosMark    = regexp.MustCompile(`^[✓✗] Test case '(.*)' (passed|failed)`)
	nixosError   = regexp.MustCompile(`^=== (Unexpected Output|Timeout Error Details|EOF Error Details) ===`)
)

func (n *nixosTest) line(s string) {
	n.remember(s)
	switch t := strings.TrimSpace(s); {
	case nixosFound.MatchString(t):
		m := nixosFound.FindStringSubmatch(t)
		n.found, _ = strconv.Atoi(m[1]) // digits; too many are none
	case strings.HasPrefix(t, "--> Waiting for login prompt"):
		n.waiting = true
	case nixosRunning.MatchString(t):
		n.cut()
		n.running, n.began = nixosRunning.FindStringSubmatch(t)[1], true
		n.take()
	case strings.HasPrefix(t, "--> Running: "):
		n.doing = strings.TrimPrefix(t, "--> Running: ")
	case nixosError.MatchString(t):
		n.problem = map[string]string{
			"Unexpected Output": "unexpected output", "Timeout Error Details": "timeout", "EOF Error Details": "the console ended",
		}[nixosError.FindStringSubmatch(t)[1]]
	case nixosMark.MatchString(t):
		m := nixosMark.FindStringSubmatch(t)
		n.mark(m[1], m[2] == "passed")
	case t == "=== Test Summary ===":
		n.cut()
		n.summary = true
	case n.summary && strings.HasPrefix(t, "Passed: "):
		n.passed, _ = strconv.Atoi(strings.TrimPrefix(t, "Passed: "))
	case n.summary && strings.HasPrefix(t, "Failed: "):
		n.failed, _ = strconv.Atoi(strings.TrimPrefix(t, "Failed: "))
	}
}

// mark settles a case.
func (n *nixosTest) mark(name string, passed bool) {
	c := parsedCase{name: name, status: checks.Pass}
	if !passed {
		c.status, c.tail = checks.Fail, n.take()
		c.reason = n.reason()
	}
	n.add(c)
	n.running, n.doing, n.problem = "", "", ""
}

func (n *nixosTest) reason() string {
	reason := n.problem
	if reason == "" {
		reason = "it failed"
	}
	if n.doing != "" {
		reason += " while running " + n.doing
	}
	return reason
}

// cut settles a case that never got a mark.
func (n *nixosTest) cut() {
	if n.running == "" {
		return
	}
	if n.problem == "" {
		n.problem = "no result: it was killed or ran out of time"
	}
	n.add(parsedCase{name: n.running, status: checks.Fail, reason: n.reason(), tail: n.take()})
	n.running, n.doing, n.problem = "", "", ""
}

func (n *nixosTest) add(c parsedCase) {
	if len(n.cases) < maxParsed {
		n.cases = append(n.cases, c)
	}
}

func (n *nixosTest) finish() parsed {
	n.Flush()
	last := n.running
	n.cut()
	failed := 0
	for _, c := range n.cases {
		if c.status == checks.Fail {
			failed++
		}
	}
	p := parsed{cases: n.cases, stage: "test"}
	switch {
	case n.found < 0:
		p.stage, p.problem = "build", "it did not get as far as finding its test cases: its build or its harness failed"
	case n.waiting && !n.began:
		p.stage, p.problem = "boot", "the system did not come up: no test case was begun"
	case !n.began && n.found > 0:
		p.stage, p.problem = "boot", "no test case was begun"
	case last != "":
		p.problem = fmt.Sprintf("it ended while %q was running", last)
	case !n.summary:
		p.problem = "it ended without a summary"
	case len(n.cases) != n.found:
		p.problem = fmt.Sprintf("it found %d test cases and told of %d", n.found, len(n.cases))
	case n.failed >= 0 && n.failed != failed:
		p.problem = fmt.Sprintf("its summary has %d failures, its marks have %d", n.failed, failed)
	}
	return p
}
