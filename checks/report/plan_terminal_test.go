package report_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

func TestPlanTerminal(t *testing.T) {
	p := &checks.Plan{
		Change: distro.Change{Base: strings.Repeat("a", 40), Head: strings.Repeat("b", 40), Files: []string{"x"}},
		Packages: []distro.AttrDiff{
			{Attr: "podman", Status: distro.StatusRebuilt, Via: []string{"runc"}, Causes: []distro.Cause{{File: "o/p.patch", Line: 1, What: "runc: patches +p.patch"}}},
			{Attr: "runc", Status: distro.StatusRebuilt, Root: true, Causes: []distro.Cause{{File: "o/p.patch", Line: 1, What: "patches +p.patch"}}},
			{Attr: "evil\n::error::\x1b[31m", Status: distro.StatusRemoved, Root: true, Referrers: []string{"a\x1b]0;x\a"}},
			{Attr: "old", Status: distro.StatusEvalStillFailing},
		},
		Suites:  []checks.SuitePlan{{Name: "containers", Run: true, Why: "its system changed"}, {Name: "idle"}},
		Kernel:  &checks.KernelPlan{Status: "unchanged", Why: "none of its inputs changed"},
		Omitted: []checks.Omission{{Count: 3, What: "packages", Why: "too many", How: "ask"}},
	}
	var b strings.Builder
	require.NoError(t, report.PlanTerminal(&b, p, report.TerminalOptions{}))
	out := b.String()
	assert.True(t, strings.HasPrefix(out, "affects 2 packages (podman, runc) and 1 suite (containers); 1 package (evil ::error::) is removed\n"), out)
	assert.Contains(t, out, "podman <- runc")
	assert.Contains(t, out, "o/p.patch:1  patches +p.patch")
	assert.Contains(t, out, "1 package (old) did not evaluate before and does not now")
	assert.Contains(t, out, "not planned:")
	assert.Less(t, strings.Index(out, "runc  rebuilt"), strings.Index(out, "podman  rebuilt"), "what the change is about comes first")
	assert.NotContains(t, out, "\x1b")
	for line := range strings.Lines(out) {
		assert.False(t, strings.HasPrefix(line, "::"), line)
	}
}
