package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The workflow that publishes the compatibility site, with a gh that has three runs: one whose second attempt counts, one that left no
// report, and one whose report cannot be read.
func TestSiteWorkflow(t *testing.T) {
	program, err := binary()
	require.NoError(t, err)
	data, err := os.ReadFile("../../.github/workflows/site.yml")
	require.NoError(t, err)
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct{ Name, Run string }
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &workflow))
	assert.Empty(t, workflow.Permissions)
	assert.Equal(t, map[string]string{"actions": "read", "contents": "read"}, workflow.Jobs["build"].Permissions)
	assert.Equal(t, map[string]string{"pages": "write", "id-token": "write"}, workflow.Jobs["deploy"].Permissions)
	for _, s := range workflow.Jobs["deploy"].Steps {
		assert.Empty(t, s.Run, "the job that may publish runs nothing")
	}

	example, err := filepath.Abs("../../checks/report/testdata/report.json")
	require.NoError(t, err)
	dir := t.TempDir()
	fake := `#!/bin/bash
leave() { mkdir -p "$1" && cp "$2" "$1/report.json"; }
case "$1 $2 $3" in
"run list --workflow") printf '4\n3\n2\n' ;;
"run download 4") leave "$7/asterbot-report-1" /dev/null; leave "$7/asterbot-report-2" ` + example + ` ;;
"run download 3") exit 1 ;;
"run download 2") leave "$7/asterbot-report-1" /dev/null ;;
*) echo "unexpected: $*" >&2; exit 2 ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gh"), []byte(fake), 0o755))
	require.NoError(t, os.Symlink(program, filepath.Join(dir, "bot")))
	for _, s := range workflow.Jobs["build"].Steps {
		if s.Name != "Take the reports" && s.Name != "Make the site" {
			continue
		}
		if s.Name == "Take the reports" {
			assert.NotContains(t, s.Run, `"pull_request`, "a pull request's branch may be called main, too")
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", s.Run)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "WORKFLOW=default branch", "BRANCH=main", "LIMIT=60", "GITHUB_STEP_SUMMARY="+dir+"/summary")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", s.Name, out)
		if s.Name == "Take the reports" {
			assert.Contains(t, string(out), "::warning::the report of run 2 cannot be read")
		}
	}
	assert.FileExists(t, filepath.Join(dir, "public", "index.html"))
	assert.DirExists(t, filepath.Join(dir, "reports", "4"))
	assert.NoDirExists(t, filepath.Join(dir, "reports", "2"))
}
