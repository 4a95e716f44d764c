package report_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
)

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, report.JUnit(&b, sample()))
	golden(t, "junit.xml", b.Bytes())

	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	require.NoError(t, xml.Unmarshal(b.Bytes(), &got))
	count := map[checks.Status]int{}
	for _, c := range sample().Cases {
		count[c.Now]++
	}
	assert.Equal(t, len(sample().Cases), got.Tests)
	assert.Equal(t, count[checks.Fail], got.Failures)
	assert.Equal(t, count[checks.Error], got.Errors)
	assert.Equal(t, count[checks.Skip], got.Skipped)
}

func TestHostileTextIsWellFormedXML(t *testing.T) {
	r := hostileReport()
	r.Cases[0].Name = "\x00\x01]]>\ufffe&\""
	var b bytes.Buffer
	require.NoError(t, report.JUnit(&b, r))
	d := xml.NewDecoder(&b)
	for {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
}
