package suite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/suite"
)

// tell runs a command that prints a text and ends with a status, and writes its
// outcomes down as "runs: ...; NAME: ...".
func tell(t *testing.T, format, text string, exit int) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "printed"), []byte(text), 0o644))
	c := suite.Command{Name: "s", Run: fmt.Sprintf("cat printed; exit %d", exit), Dir: dir, Format: format}
	out, err := c.Settle(t.Context(), nil)
	require.NoError(t, err)
	return written(c, out)
}

func written(c suite.Command, out map[checks.Case]checks.Outcome) string {
	runs := out[c.Runs()]
	lines := []string{"runs: " + strings.TrimSpace(string(runs.Status)+" "+runs.Reason)}
	for k, o := range out {
		if k != c.Runs() {
			lines = append(lines, k.Name+": "+strings.TrimSpace(string(o.Status)+" "+o.Reason))
		}
	}
	// The order of a map is none.
	for i := 1; i < len(lines); i++ {
		for j := i; j > 1 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

func TestResultsAreReadAsTheyWereMeant(t *testing.T) {
	const found = "=== Found 2 test case(s) ===\n"
	const waiting = "--> Waiting for login prompt...\n"
	const first = "=== Running test case: lua ===\n--> Running: lua -v (expecting: Lua 5)\n"
	const second = "=== Running test case: jq ===\n--> Running: jq --version (expecting: jq-1)\n"
	const passed = "✓ Test case 'lua' passed\n"
	for _, c := range []struct {
		what, format, text string
		exit               int
		want               string
	}{
		{"nixos-test: all pass", "nixos-test", found + waiting + first + passed + second + "\x1b[32m✓ Test case 'jq' passed\x1b[0m\r\n=== Test Summary ===\nPassed: 2\nFailed: 0\n", 0,
			"runs: pass\njq: pass\nlua: pass"},
		{"nixos-test: one fails", "nixos-test", found + waiting + first + passed + second + "=== Unexpected Output ===\njq: not found\n✗ Test case 'jq' failed\n=== Test Summary ===\nPassed: 1\nFailed: 1\nFailed tests:\n  - jq\n", 1,
			"runs: pass\njq: fail unexpected output while running jq --version (expecting: jq-1)\nlua: pass"},
		{"nixos-test: the build fails", "nixos-test", "error: builder for x failed\n", 1,
			"runs: fail it did not get as far as finding its test cases: its build or its harness failed (the command's exit status is 1)"},
		{"nixos-test: the boot fails", "nixos-test", found + waiting + "=== EOF Error Details ===\n", 1,
			"runs: fail the system did not come up: no test case was begun (the command's exit status is 1)"},
		{"nixos-test: a timeout", "nixos-test", found + waiting + first + passed + second + "=== Timeout Error Details ===\n", 1,
			"runs: fail it ended while \"jq\" was running (the command's exit status is 1)\njq: fail timeout while running jq --version (expecting: jq-1)\nlua: pass"},
		{"nixos-test: killed", "nixos-test", found + waiting + first, 137,
			"runs: fail it ended while \"lua\" was running (the command's exit status is 137)\nlua: fail no result: it was killed or ran out of time while running lua -v (expecting: Lua 5)"},
		{"nixos-test: the shutdown fails", "nixos-test", found + waiting + first + passed + second + "✓ Test case 'jq' passed\n=== Test Summary ===\nPassed: 2\nFailed: 0\n", 1,
			"runs: fail each test passed, but the command's exit status is 1: it did not end well\njq: pass\nlua: pass"},
		{"nixos-test: a summary that contradicts", "nixos-test", found + waiting + first + passed + second + "✓ Test case 'jq' passed\n=== Test Summary ===\nPassed: 1\nFailed: 1\n", 1,
			"runs: fail its summary has 1 failures, its marks have 0 (the command's exit status is 1)\njq: pass\nlua: pass"},

		{"TAP: remarks, and what a failure said", "tap", "TAP version 13\r\nok 1 - coreutils # 4.11-4.58\r\nnot ok 2 - ip # rc=1 68.92-69.04\r\n# EOF on netlink\r\n# Device \"lo\" does not exist.\r\nok 3 - tar\r\n1..3\r\n", 0,
			"runs: pass\ncoreutils: pass\nip: fail EOF on netlink; Device \"lo\" does not exist.\ntar: pass"},
		{"TAP 14: plan first, skip, todo, diagnostics", "tap", "TAP version 14\n1..4\nok 1 - a\nok 2 - b # SKIP no network\nnot ok 3 - c # TODO not yet\nnot ok 4 - d \\# e\n  ---\n  message: boom\n  ...\n", 0,
			"runs: pass\na: pass\nb: skip no network\nc: skip expected to fail: not yet\nd # e: fail message: boom"},
		{"TAP 14: subtests", "tap", "TAP version 14\n# Subtest: net\n    ok 1 - up\n    not ok 2 - down\n    1..2\nnot ok 1 - net\nok 2 - disk\n1..2\n", 1,
			"runs: pass\ndisk: pass\nnet/down: fail it failed\nnet/up: pass"},
		{"TAP: a test is missing", "tap", "1..3\nok 1 - a\nok 2 - b\n", 0,
			"runs: fail it planned 3 tests and told of 2\na: pass\nb: pass"},
		{"TAP: no plan", "tap", "ok 1 - a\n", 0, "runs: fail its results have no plan, so some may be missing\na: pass"},
		{"TAP: bail out", "tap", "1..2\nok 1 - a\nBail out! no disk\n", 255, "runs: fail it bailed out: no disk (the command's exit status is 255)\na: pass"},
		{"TAP: skipped as a whole", "tap", "1..0 # SKIP no hardware\n", 0, "runs: pass\nall: skip no hardware"},
		{"TAP: nothing", "tap", "hello\n", 0, "runs: fail it printed no test results"},
		{"TAP: a name twice", "tap", "1..2\nok 1 - a\nnot ok 2 - a\n", 1, "runs: pass\na (2): fail it failed\na: pass"},
		{"KTAP: nested, diagnostics before the point", "tap", "KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n    # Subtest: list\n  # list_add: EXPECTATION FAILED at lib/list.c:10\n  not ok 1 list_add\n  ok 2 list_del # SKIP\nnot ok 1 list\n", 0,
			"runs: pass\nlist/list_add: fail list_add: EXPECTATION FAILED at lib/list.c:10\nlist/list_del: skip skipped by the suite itself"},

		{"JUnit: pass, failure, error, skip", "junit", `<?xml version="1.0"?><testsuites tests="4"><testsuite name="x" tests="4"><testcase classname="net" name="up" time="0.5"/>` +
			`<testcase name="down"><failure message="expected 1, got 2">trace</failure></testcase><testcase name="bad"><error>oops</error></testcase><testcase name="off"><skipped message="no net"/></testcase></testsuite></testsuites>`, 1,
			"runs: pass\nbad: fail oops\ndown: fail expected 1, got 2\nnet/up: pass\noff: skip no net"},
		{"JUnit: cut off", "junit", `<testsuite><testcase name="a"/><testcase na`, 0, "runs: fail its results cannot be read: XML syntax error on line 1: unexpected EOF\na: pass"},
		{"JUnit: fewer than announced", "junit", `<testsuite tests="2"><testcase name="a"/></testsuite>`, 0, "runs: fail it announced 2 tests and told of 1\na: pass"},
		{"JUnit: none", "junit", "no xml here", 0, "runs: fail it left no JUnit XML"},
	} {
		t.Run(c.what, func(t *testing.T) {
			assert.Equal(t, c.want, tell(t, c.format, c.text, c.exit))
		})
	}
}

func TestACommandIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := suite.Command{Name: "s", Format: "tap", Dir: dir, LogDir: filepath.Join(dir, "logs"), Prefix: "logs"}

	c.Run, c.Timeout = "echo 1..1; echo ok 1 - a; sleep 1000", 300*time.Millisecond
	start := time.Now()
	out, err := c.Settle(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, "runs: fail the command did not end within 300ms\na: pass", written(c, out))
	assert.True(t, out[c.Runs()].TimedOut)
	assert.Less(t, time.Since(start), 10*time.Second)

	c.Run, c.Timeout = "echo first; head -c 40000000 /dev/zero | tr '\\0' x; echo; echo 1..1; echo ok 1 - a; echo last", 0
	out, err = c.Settle(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, "runs: pass\na: pass", written(c, out))
	log, err := os.ReadFile(filepath.Join(dir, out[c.Runs()].Log))
	require.NoError(t, err)
	assert.Less(t, len(log), 20<<20)
	assert.True(t, strings.HasPrefix(string(log), "first\n"))
	assert.True(t, strings.HasSuffix(string(log), "last\n"))
	assert.Contains(t, string(log), "bytes dropped")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Settle(ctx, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestAFileOfResultsMustLieInTheCheckout(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "results.xml")
	require.NoError(t, os.WriteFile(outside, []byte(`<testsuite><testcase name="a"/></testsuite>`), 0o644))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link.xml")))
	c := suite.Command{Name: "s", Format: "junit", Dir: dir, Output: "link.xml", Run: "true"}
	out, err := c.Settle(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, checks.Fail, out[c.Runs()].Status)
	assert.Len(t, out, 1)

	c.Output, c.Run = "results.xml", `echo '<testsuite><testcase name="a"/></testsuite>' >results.xml`
	out, err = c.Settle(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, "runs: pass\na: pass", written(c, out))
}
