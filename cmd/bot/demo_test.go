package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro/sample"
)

func TestDemoListsItsPullRequests(t *testing.T) {
	c := cli{dir: t.TempDir()}
	got := c.run(t.Context(), "demo", "--list", "--json")
	require.Zero(t, got.code, got.stderr)
	var changes []sample.Change
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &changes))
	assert.Equal(t, sample.Changes(), changes)

	got = c.run(t.Context(), "demo", "--list")
	require.Zero(t, got.code, got.stderr)
	assert.Contains(t, got.stdout, "kernel-hang")
}

func TestDemoCreatesTheRepositoryAlone(t *testing.T) {
	c := cli{dir: t.TempDir()}
	got := c.run(t.Context(), "demo", "--only-create", "--dir", "d")
	require.Zero(t, got.code, got.stderr)
	assert.Equal(t, filepath.Join(c.dir, "d")+"\n", got.stdout)
	assert.FileExists(t, filepath.Join(c.dir, "d", ".github", "asterbot.yml"))
	assert.NoDirExists(t, filepath.Join(c.dir, "asterbot-out"), "nothing is checked")
}

func TestDemoRefuses(t *testing.T) {
	c := cli{dir: t.TempDir()}
	got := c.run(t.Context(), "demo", "--change", "everthing")
	assert.Equal(t, checks.ExitUsage, got.code)
	assert.Contains(t, got.stderr, "bot demo --list")

	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "mine"), nil, 0o644))
	got = c.run(t.Context(), "demo", "--only-create", "--dir", ".")
	assert.Equal(t, checks.ExitUsage, got.code)
	assert.Contains(t, got.stderr, "--dir")
	assert.FileExists(t, filepath.Join(c.dir, "mine"))
}

// The doctor answers on any machine: with a report and an exit status that agree.
func TestDoctorSaysWhetherAMachineCanDoIt(t *testing.T) {
	c := cli{dir: t.TempDir(), env: map[string]string{"ASTERBOT_CACHE": filepath.Join(t.TempDir(), "none")}}
	got := c.run(t.Context(), "doctor", "--json")
	var d diagnosis
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &d), got.stderr)
	if d.OK {
		assert.Zero(t, got.code)
		assert.Empty(t, d.Problems)
	} else {
		assert.Equal(t, checks.Errored.ExitCode(), got.code)
		assert.NotEmpty(t, d.Problems)
		assert.Contains(t, got.stderr, d.Problems[0])
	}
	assert.NotEmpty(t, d.Tools)

	t.Setenv("PATH", t.TempDir())
	got = c.run(t.Context(), "doctor")
	assert.Equal(t, checks.Errored.ExitCode(), got.code)
	assert.Contains(t, got.stdout, "apt-get install git")
	assert.Contains(t, got.stderr, "git is missing")
}
