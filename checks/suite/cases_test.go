package suite_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/distro"
)

func TestCasesAreReadFromYAMLAndJSON(t *testing.T) {
	for _, c := range []struct{ what, text string }{
		{"a list in YAML", "- name: ip\n  run: ip link\n  expect: '^1: lo'\n  timeout: 20\n  smoke: true\n"},
		{"a list in JSON", `[{"name":"ip","run":"ip link","expect":"^1: lo","timeout":20,"smoke":true}]`},
		{"a suite in YAML", "cases:\n- {name: ip, run: ip link, expect: '^1: lo', timeout: 20, smoke: true}\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, err := suite.ReadCases(strings.NewReader(c.text))
			require.NoError(t, err)
			assert.Equal(t, []distro.CaseSpec{{Name: "ip", Run: "ip link", Expect: "^1: lo", Timeout: 20, Smoke: true}}, s.Cases)
		})
	}
	s, err := suite.ReadCases(strings.NewReader("machine: ordered\nmemory: 1024\ncases:\n- name: a\n  run: |\n    one\n    two\n"))
	require.NoError(t, err)
	assert.Equal(t, distro.MachineOrdered, s.Machine)
	assert.Equal(t, "one\ntwo\n", s.Cases[0].Run)
}

func TestABadFileOfCasesIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ what, text, want string }{
		{"an unknown field", "- name: a\n  rum: x\n", "[2:3]"},
		{"a list that is no list", "- name: [a\n", "[1:"},
		{"a word for a number", "- name: a\n  run: x\n  timeout: soon\n", "[3:"},
		{"nothing", "", "no cases"},
		{"a case without anything to do", "- name: a\n", "neither run nor screen"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := suite.ReadCases(strings.NewReader(c.text))
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzReadCases(f *testing.F) {
	f.Add("- name: a\n  run: x\n")
	f.Add(`{"cases":[{"name":"a","screen":"not blank"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := suite.ReadCases(strings.NewReader(text))
		if err == nil {
			assert.NoError(t, suite.Check(s))
		}
	})
}
