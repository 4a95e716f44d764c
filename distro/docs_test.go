package distro_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatThePageForKernelDevelopersSaysIsTrue types what the page shows after
// $ and compares the first line of the answer.
func TestWhatThePageForKernelDevelopersSaysIsTrue(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Skip("needs nix-instantiate: apt-get install nix-bin")
	}
	text, err := os.ReadFile("../docs/nix-for-kernel-developers.md")
	require.NoError(t, err)
	var tried int
	var command string
	for _, line := range strings.Split(string(text), "\n") {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			command = c
			continue
		}
		if command == "" {
			continue
		}
		cmd := exec.Command("sh", "-c", command)
		// A store of its own: evaluating needs none, and nothing is written to
		// the machine's.
		dir := t.TempDir()
		cmd.Env = append(os.Environ(), "NIX_STORE_DIR="+filepath.Join(dir, "store"), "NIX_STATE_DIR="+filepath.Join(dir, "state"), "NIX_LOG_DIR="+filepath.Join(dir, "log"), "NIX_CONF_DIR="+dir, "NIX_REMOTE=")
		out, _ := cmd.CombinedOutput() // one of them fails, which is the point
		answer := ""
		for l := range strings.SplitSeq(string(out), "\n") {
			if l != "" && !strings.HasPrefix(l, "warning:") && l != "error:" && !strings.HasPrefix(strings.TrimSpace(l), "…") {
				answer = strings.TrimSpace(l)
				break
			}
		}
		assert.Equal(t, line, answer, command)
		command = ""
		tried++
	}
	assert.GreaterOrEqual(t, tried, 6)
}
