package asternixos_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Switching without a bus: what each action does, and how each failure ends.
func TestSwitchToConfiguration(t *testing.T) {
	tests := []struct {
		name, action string
		spoil        string // a script that fails; with "kernel", the running kernel is the new one
		status       int
		ran          string // the scripts that ran, in order
		says         string
	}{
		{"switch installs the boot loader, then activates", "switch", "", 0, "check boot activate ", "reboot to have all of it"},
		{"boot only installs the boot loader", "boot", "", 0, "check boot ", ""},
		{"test only activates", "test", "", 0, "check activate ", "activating"},
		{"dry-activate changes nothing", "dry-activate", "", 0, "check dry-activate ", "would activate"},
		{"check only checks", "check", "", 0, "check ", ""},
		{"a check that fails stops all", "switch", "check", 1, "check ", "the checks before the switch failed"},
		{"a boot loader that cannot be installed", "switch", "boot", 3, "check boot ", "the system boots as before"},
		{"a boot loader that need not be installed", "switch", "boot kernel", 0, "check boot activate ", "the boot loader was left as it is"},
		{"an activation that fails", "switch", "activate", 2, "check boot activate ", "activation failed"},
		{"an action that is none", "sideways", "", 1, "", "usage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "etc/NIXOS"), nil, 0o644))
			for _, name := range []string{"check", "boot", "activate", "dry-activate"} {
				script := "#!/bin/sh\nprintf '" + name + " ' >> " + dir + "/ran\n"
				if fails, _, _ := strings.Cut(tt.spoil, " "); name == fails {
					script += "exit 1\n"
				}
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
			}
			booted := filepath.Join(dir, "run/booted-system")
			require.NoError(t, os.MkdirAll(booted, 0o755))
			for _, part := range []string{"kernel", "initrd", "kernel-params"} {
				require.NoError(t, os.WriteFile(filepath.Join(dir, part), []byte("new"), 0o644))
				running := "old"
				if strings.HasSuffix(tt.spoil, "kernel") {
					running = "new"
				}
				require.NoError(t, os.WriteFile(filepath.Join(booted, part), []byte(running), 0o644))
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "overlays/switch-to-configuration/switch-to-configuration.sh", tt.action)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SWITCH_ROOT=" + dir, "TOPLEVEL=" + dir, "INSTALL_BOOTLOADER=" + dir + "/boot", "PRE_SWITCH_CHECK=" + dir + "/check"}
			out, err := cmd.CombinedOutput()
			status := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				status = exit.ExitCode()
			}
			assert.Equal(t, tt.status, status, string(out))
			ran, _ := os.ReadFile(filepath.Join(dir, "ran")) // absent where nothing ran
			assert.Equal(t, tt.ran, string(ran))
			assert.Contains(t, string(out), tt.says)
		})
	}
}
