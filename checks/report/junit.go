package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/asterinas/asterbot/checks"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes a report as JUnit XML: a test suite for each package, image and
// suite, a test case for each case. It says how cases went at head: one that
// fails is a failure also when it failed before; the failure's type is the
// verdict, which tells them apart. Removed cases are left out.
func JUnit(w io.Writer, r *checks.Report) error {
	all := junitSuites{Name: "asterbot: " + Headline(r)}
	index := map[string]int{}
	var seconds float64
	times := []float64{}
	for _, c := range r.Cases {
		if c.Now == checks.Absent {
			continue
		}
		name := ofWord(c.Of) + " " + Plain(c.Subject)
		i, ok := index[name]
		if !ok {
			i = len(all.Suites)
			index[name] = i
			all.Suites = append(all.Suites, junitSuite{Name: name})
			times = append(times, 0)
		}
		s := &all.Suites[i]
		tc := junitCase{
			Class:  strings.ReplaceAll(ofWord(c.Of), ".", "_") + "." + strings.ReplaceAll(Plain(c.Subject), ".", "_") + "." + string(c.Kind),
			Name:   Plain(c.Name),
			Time:   fmt.Sprintf("%.3f", c.Seconds),
			Output: strings.Join(PlainLines(c.Tail), "\n"),
		}
		m := &junitMessage{Message: Plain(c.Reason), Type: string(c.Verdict), Text: junitText(c)}
		switch c.Now {
		case checks.Fail:
			tc.Failure = m
			s.Failures++
			all.Failures++
		case checks.Skip:
			tc.Skipped = &junitMessage{Message: Plain(c.Reason)}
			s.Skipped++
			all.Skipped++
		case checks.Pass:
		default:
			m.Type = "infrastructure"
			if c.Blame != checks.BlameInfra {
				m.Type = string(checks.Undecided)
			}
			tc.Error = m
			s.Errors++
			all.Errors++
		}
		s.Tests++
		all.Tests++
		times[i] += c.Seconds
		seconds += c.Seconds
		s.Cases = append(s.Cases, tc)
	}
	for i := range all.Suites {
		all.Suites[i].Time = fmt.Sprintf("%.3f", times[i])
	}
	all.Time = fmt.Sprintf("%.3f", seconds)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitText is what a failure says beside its reason.
func junitText(c checks.Result) string {
	f := failure{Result: c}
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, name+": "+Plain(text))
		}
	}
	add("verdict", word(c)+" ("+string(c.Was)+" -> "+string(c.Now)+")")
	add("stage", c.Stage)
	add("whose fault", f.Fault())
	add("root cause", cause(c.Causes, c.Via))
	add("likely cause", strings.Join(c.Likely, "; "))
	for _, r := range c.Repro {
		add("reproduce", r)
	}
	return strings.Join(lines, "\n")
}
