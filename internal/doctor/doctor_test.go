package doctor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/internal/doctor"
	"github.com/asterinas/asterbot/internal/kernel"
)

func TestEveryNeedSaysWhatItIsFor(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range doctor.Needs() {
		assert.NotEmpty(t, n.Probe, n.Package)
		assert.NotEmpty(t, n.What, n.Package)
		assert.Contains(t, []string{"nix", "qemu", "image", "report", "test"}, n.For, n.Package)
		assert.False(t, seen[n.Package], "%s is listed twice", n.Package)
		seen[n.Package] = true
	}
}

func TestAMissingToolSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var git doctor.Tool
	for _, tool := range doctor.Examine(t.Context()) {
		if tool.Package == "git" {
			git = tool
		}
	}
	assert.True(t, git.Missing())
	assert.Equal(t, "apt-get install git", git.Get)
}

func TestAToolIsFoundWithItsVersion(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\necho; echo git version 2.99\nexit 1\n"), 0o755))
	t.Setenv("PATH", bin)
	tools := doctor.Examine(t.Context())
	assert.Equal(t, "git", tools[0].Package)
	assert.Equal(t, filepath.Join(bin, "git"), tools[0].Path)
	assert.Equal(t, "git version 2.99", tools[0].Version)
}

// A machine without apt, without root: every package by name, and nothing changed.
func TestSetUpSaysExactlyWhatToInstallWhereItCannot(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("needs bash: %v", err)
	}
	bin := t.TempDir()
	for _, name := range []string{"bash", "dirname", "grep", "cat", "sha256sum", "cut", "awk", "sort", "tr", "id"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, name)))
	}
	cache := filepath.Join(t.TempDir(), "cache")
	cmd := exec.Command(bash, "setup.sh")
	cmd.Env = []string{"PATH=" + bin, "HOME=" + t.TempDir(), "ASTERBOT_CACHE=" + cache}
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	assert.Contains(t, string(out), "there is no apt-get here; install these packages")
	assert.Contains(t, string(out), "git nix-bin qemu-system-x86")
	assert.NoDirExists(t, cache)
}

func TestSetUpRefusesUnknownArguments(t *testing.T) {
	out, err := exec.Command("bash", "setup.sh", "--tset").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Contains(t, string(out), "--tset")
}

func TestACacheThatIsNotThereIsNotReady(t *testing.T) {
	require.Error(t, doctor.Ready(t.Context(), filepath.Join(t.TempDir(), "none")))
}

func TestSetUpDoesNothingTwice(t *testing.T) {
	cache := kernel.Cache(os.Getenv)
	if err := doctor.Ready(t.Context(), cache); err != nil {
		t.Skipf("needs a machine that is set up: %v", err)
	}
	var out strings.Builder
	require.NoError(t, doctor.Install(t.Context(), cache, &out))
	assert.Empty(t, out.String())
}
