package asternixos_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/distro"
)

// needsMachine skips where no machine can be booted.
func needsMachine(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skipf("needs qemu-system-x86: %v", err)
	}
}

// suite is a suite as the entry has it.
func suite(t *testing.T, name string) distro.Suite {
	t.Helper()
	var s distro.Suite
	stderr, err := eval(t, `removeAttrs entry.suites."`+name+`" [ "system" ]`, &s)
	require.NoError(t, err, stderr)
	require.NotEmpty(t, s.Cases)
	return s
}

// run boots a system, runs the cases and returns the results.
func run(t *testing.T, bot, system, profile string, s distro.Suite) checks.Results {
	t.Helper()
	dir := t.TempDir()
	cases, err := json.Marshal(s.Cases)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cases.json"), cases, 0o644))
	params, err := os.ReadFile(filepath.Join(system, "kernel-params"))
	require.NoError(t, err)
	args := []string{"vm", "--profile", profile, "--kernel", filepath.Join(system, "kernel"), "--initrd", filepath.Join(system, "initrd"),
		"--append", strings.TrimSpace(string(params)), "--cases", filepath.Join(dir, "cases.json"), "--out", filepath.Join(dir, "out"), "--memory", "1024"}
	if disk := filepath.Join(system, "disk.img"); fileExists(disk) {
		args = append(args, "--disk", disk)
	}
	out, err := exec.CommandContext(t.Context(), bot, args...).CombinedOutput()
	data, readErr := os.ReadFile(filepath.Join(dir, "out", "results.json"))
	require.NoError(t, readErr, "%v\n%s", err, out)
	var r checks.Results
	require.NoError(t, json.Unmarshal(data, &r))
	return r
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What the modules say is what boots: every kind of merge ends up in the guest.
func TestConfiguredSystemBoots(t *testing.T) {
	needsMachine(t)
	r := run(t, bot(t), build(t, "suites.configured.system", "null"), "linux", suite(t, "configured"))
	assert.Greater(t, len(r.Cases), 7)
	for _, c := range r.Cases {
		assert.Equal(t, checks.Pass, c.Now, "%s: %s", c.Name, c.Reason)
	}
}
