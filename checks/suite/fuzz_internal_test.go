package suite

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/asterinas/asterbot/checks"
)

// Whatever a command prints: it is read to the end, each result is one of
// three, and reading it in pieces makes no difference.
func FuzzResults(f *testing.F) {
	for _, s := range []string{
		"TAP version 14\n1..2\nok 1 - a\n    not ok 1 - x\n    1..1\nnot ok 2 - b # TODO\n  ---\n  m: x\n  ...\n",
		"KTAP version 1\n1..1\n  ok 1 a\n  1..1\nok 1 b\nBail out!\n",
		"=== Found 2 test case(s) ===\n--> Waiting for login prompt...\n=== Running test case: a ===\n✓ Test case 'a' passed\n=== Test Summary ===\nPassed: 1\n",
		`<?xml version="1.0"?><testsuites><testsuite tests="1"><testcase name="a"><failure/></testcase></testsuite></testsuites>`,
	} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, text string, split int) {
		for name, make := range formats {
			whole, parts := make(), make()
			_, err := whole.Write([]byte(text))
			assert.NoError(t, err)
			at := min(max(split, 0), len(text))
			_, _ = parts.Write([]byte(text[:at]))
			_, _ = parts.Write([]byte(text[at:]))
			got := whole.finish()
			assert.Equal(t, got, parts.finish(), name)
			assert.LessOrEqual(t, len(got.cases), maxParsed)
			for _, c := range got.cases {
				assert.Contains(t, []checks.Status{checks.Pass, checks.Fail, checks.Skip}, c.status)
			}
			if len(got.cases) == 0 {
				assert.NotEmpty(t, got.problem, "%s: no results are no success", name)
			}
		}
	})
}
