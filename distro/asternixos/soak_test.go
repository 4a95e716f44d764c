//go:build soak

package asternixos_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the installer cannot or must not do, it says, ends with a reset and leaves the disk alone.
func TestSoakInstallerRefuses(t *testing.T) {
	iso := build(t, "images.iso", "null")
	data := blank(t, 512)
	out, err := exec.Command("/usr/sbin/mke2fs", "-q", "-F", data).CombinedOutput()
	require.NoError(t, err, string(out))
	tests := []struct{ name, disk, says string }{
		{"no disk", "", "^FAILED: there is no disk to install on"},
		{"no space", blank(t, 64), "^FAILED: /dev/vda has 64 MiB, and [0-9]+ MiB are needed"},
		{"a disk that holds data", data, "^FAILED: /dev/vda holds data; with --force it is overwritten"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before []byte
			if tt.disk != "" {
				before, err = os.ReadFile(tt.disk)
				require.NoError(t, err)
			}
			got := install(t, iso, tt.disk, "")
			assert.Regexp(t, tt.says, last(got.said))
			assert.Equal(t, "guest-reset", got.end)
			if tt.disk != "" {
				after, err := os.ReadFile(tt.disk)
				require.NoError(t, err)
				assert.Equal(t, len(before), len(after))
				assert.True(t, string(before) == string(after), "the disk was written to")
			}
		})
	}
}

// Power fails at every stage; a second run, without --force, starts over and finishes.
func TestSoakPowerCuts(t *testing.T) {
	iso := build(t, "images.iso", "null")
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			disk := blank(t, 512)
			cut := install(t, iso, disk, stage)
			require.Equal(t, stage, last(cut.said))
			again := install(t, iso, disk, "")
			assert.Regexp(t, "^finished: asterinas [0-9a-f]{12} is on /dev/vda$", last(again.said))
			assert.Equal(t, "guest-shutdown", again.end)
		})
	}
}

// Unattended, --force is a parameter of the kernel.
func TestSoakInstallerForced(t *testing.T) {
	data := blank(t, 512)
	out, err := exec.Command("/usr/sbin/mke2fs", "-q", "-F", data).CombinedOutput()
	require.NoError(t, err, string(out))
	said := converse(t, data, "asternixos.force", nil)
	assert.Contains(t, said, "the data on /dev/vda will be lost, as --force says")
	assert.Regexp(t, `finished: asterinas [0-9a-f]{12} is on /dev/vda\r?\n`, said)
}
