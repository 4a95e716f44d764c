package suite

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/asterinas/asterbot/checks"
)

// junit reads JUnit's XML: test cases anywhere below testsuites or testsuite.
type junit struct{ doc bytes.Buffer }

func (j *junit) Write(p []byte) (int, error) {
	if j.doc.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("the results are larger than %d bytes", maxOutput)
	}
	return j.doc.Write(p)
}

// junitCase is a testcase element.
type junitCase struct {
	Name  string `xml:"name,attr"`
	Class string `xml:"classname,attr"`
	Time  string `xml:"time,attr"`
	// Problems are failure and error elements.
	Failures []junitText `xml:"failure"`
	Errors   []junitText `xml:"error"`
	Skipped  *junitText  `xml:"skipped"`
	Output   string      `xml:"system-out"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// maxDepth bounds how deep elements may be nested.
const maxDepth = 64

func (j *junit) finish() parsed {
	p := parsed{stage: "test"}
	// A command may say something before its results.
	doc := j.doc.Bytes()
	start := bytes.Index(doc, []byte("<?xml"))
	if start < 0 {
		start = bytes.Index(doc, []byte("<testsuite"))
	}
	if start < 0 {
		p.stage, p.problem = "boot", "it left no JUnit XML"
		return p
	}
	d := xml.NewDecoder(bytes.NewReader(doc[start:]))
	depth, announced, suites := 0, 0, 0
	within := 0 // the depth below which suites' announcements are part of another's
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && depth > maxDepth {
			err = fmt.Errorf("more than %d elements deep", maxDepth)
		}
		if err != nil {
			// What follows the results, when the root has ended, is no matter.
			if suites > 0 && depth == 0 {
				break
			}
			p.problem = "its results cannot be read: " + firstLine(err.Error())
			return p
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local != "testcase" {
				depth++
				if e.Name.Local == "testsuite" {
					suites++
					if n := number(e, "tests"); n > 0 && within == 0 {
						announced += n
						within = depth
					}
				}
				continue
			}
			var c junitCase
			if err := d.DecodeElement(&c, &e); err != nil {
				p.problem = "its results cannot be read: " + firstLine(err.Error())
				return p
			}
			if len(p.cases) >= maxParsed {
				p.problem = fmt.Sprintf("it told of more than %d tests", maxParsed)
				return p
			}
			p.cases = append(p.cases, c.parsed())
		case xml.EndElement:
			if depth == within {
				within = 0
			}
			depth--
		}
	}
	switch {
	case suites == 0:
		p.stage, p.problem = "boot", "its XML has no test suite"
	case announced > len(p.cases):
		p.problem = fmt.Sprintf("it announced %d tests and told of %d", announced, len(p.cases))
	case len(p.cases) == 0:
		p.problem = "its results have no test"
	}
	return p
}

func number(e xml.StartElement, name string) int {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			n, _ := strconv.Atoi(a.Value) // a suite that announces nonsense announces nothing
			return max(0, min(n, maxParsed))
		}
	}
	return 0
}

func (c junitCase) parsed() parsedCase {
	out := parsedCase{name: strings.TrimSpace(c.Name), status: checks.Pass}
	if class := strings.TrimSpace(c.Class); class != "" && class != out.name {
		out.name = class + "/" + out.name
	}
	if s, err := strconv.ParseFloat(c.Time, 64); err == nil && s >= 0 && s < 1e9 {
		out.seconds = s
	}
	switch problems := append(c.Failures, c.Errors...); {
	case len(problems) > 0:
		out.status = checks.Fail
		out.reason = firstLine(problems[0].Message)
		if out.reason == "" {
			out.reason = message(problems[0].Text)
		}
		out.tail = lastLines(problems[0].Text+"\n"+c.Output, tailLines)
	case c.Skipped != nil:
		out.status = checks.Skip
		out.reason = firstLine(c.Skipped.Message)
		if out.reason == "" {
			out.reason = firstLine(c.Skipped.Text)
		}
	}
	return out
}
