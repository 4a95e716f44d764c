package suite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks/suite"
	"github.com/asterinas/asterbot/testvm"
)

// How a system starts follows from its kernel's image: Asterinas' bzImage needs UEFI, all else starts as it is.
func TestFirmwareOfASystem(t *testing.T) {
	tests := []struct {
		name, image string
		profile     testvm.Profile
		want        testvm.Firmware
	}{
		{"Linux", "MZ....", testvm.Linux, ""},
		{"a bzImage of Asterinas", "MZ....", testvm.Asterinas, testvm.UEFI},
		{"an ELF of Asterinas", "\x7fELF..", testvm.Asterinas, ""},
		{"an image cut short", "M", testvm.Asterinas, testvm.UEFI},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kernel"), []byte(tt.image), 0o644))
			m, err := suite.OpenSystem(dir, tt.profile)
			require.NoError(t, err)
			assert.Equal(t, tt.want, m.Firmware)
		})
	}
}
