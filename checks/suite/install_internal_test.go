package suite

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks"
	"github.com/asterinas/asterbot/testvm"
)

func TestAnInstallationCountsOnlyWhenItSaysSoAndPowersOff(t *testing.T) {
	const begin = "The installer automatically runs on /dev/hvc0!\r\nWARNING: You are about to FORMAT the disk\r\npartition finished\r\n"
	const done = "\x1b[32mCongratulations! Asterinas NixOS has been installed successfully!\x1b[0m\r\n"
	ok := testvm.Ending{Outcome: testvm.OK}
	for _, c := range []struct {
		what   string
		says   []string
		ending testvm.Ending
		want   checks.Status
		reason string
	}{
		{"success and power-off", []string{begin, done}, ok, checks.Pass, ""},
		{"success split between two reads", []string{begin + "Congratulations! Asterinas Nix", "OS has been installed successfully!\n"}, ok, checks.Pass, ""},
		{"power-off without a word", []string{begin + "cp: no space left on device\r\n"}, ok, checks.Fail,
			"the installer ended after stage 3 of 5 (partition finished) without having said that it succeeded, its last line: cp: no space left on device"},
		{"nothing at all", nil, ok, checks.Fail, "the installer ended before its first stage without having said that it succeeded"},
		{"a failure, then success", []string{begin, "error: no such device\n", done}, ok, checks.Fail, "the installer failed after stage 3 of 5 (partition finished): error: no such device"},
		{"success, but no power-off", []string{begin, done}, testvm.Ending{Outcome: testvm.Hang, Reason: "silence"}, checks.Fail,
			"the installer said that it succeeded, but the machine did not power off well: hang: silence"},
		{"a panic", []string{begin}, testvm.Ending{Outcome: testvm.Panic, Reason: "kernel panic: x", Title: "x"}, checks.Fail, "panic after stage 3 of 5 (partition finished): kernel panic: x"},
		{"QEMU failed", []string{begin}, testvm.Ending{Outcome: testvm.Infra, Reason: "disk full"}, checks.Error, "disk full"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w, err := newInstallerWatch(upstreamInstaller)
			require.NoError(t, err)
			for _, s := range c.says {
				w.watch("hvc0", []byte(s))
			}
			w.flush()
			o := w.outcome(c.ending)
			assert.Equal(t, c.want, o.Status)
			assert.Equal(t, c.reason, o.Reason)
		})
	}
}
