package action_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first step of action.yml, with stand-ins for everything that it would fetch or
// install.
func TestSetup(t *testing.T) {
	const binary = "#!/bin/sh\necho a bot\n"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(binary)))
	for _, tc := range []struct {
		name    string
		version string
		env     map[string]string
		sums    string
		tools   []string // that the machine has
		exit    int
		says    string
		asked   []string // of the stand-ins
		never   []string
	}{
		{"the release's binary, held against its checksums", "1.2.3", nil, sum + "  bot-linux-amd64\n", nil, 0, "version 1.2.3, from its release", []string{"curl https://example.test/v1.2.3/bot-linux-amd64"}, []string{"go build", "sudo"}},
		{"a binary that is another is not run, nor built instead", "1.2.3", nil, strings.Repeat("0", 64) + "  bot-linux-amd64\n", []string{"go"}, 2, "is not what its SHA256SUMS says", nil, []string{"go build"}},
		{"checksums that do not name it", "1.2.3", nil, sum + "  bot-linux-riscv64\n", []string{"go"}, 2, "is not what its SHA256SUMS says", nil, []string{"go build"}},
		{"a version in the making is built", "1.2.3-dev", nil, "", []string{"go"}, 0, "building version 1.2.3-dev from source", []string{"go build -trimpath"}, []string{"curl"}},
		{"without a release and without Go it says what to do", "1.2.3-dev", nil, "", nil, 2, "use actions/setup-go before this step", nil, []string{"curl"}},
		{"a binary that is named is used", "1.2.3", map[string]string{"ASTERBOT_BINARY": "/bin/true"}, "", nil, 0, "", nil, []string{"curl", "go build"}},
		{"a machine of somebody's own is left alone", "1.2.3", map[string]string{"ASTERBOT_COMMAND": "boot", "ASTERBOT_BINARY": "/bin/true"}, "", []string{"sudo"}, 0, "", nil, []string{"sudo", "curl"}},
		{"a hosted runner gets Nix and QEMU", "1.2.3", map[string]string{"ASTERBOT_COMMAND": "boot", "ASTERBOT_BINARY": "/bin/true", "RUNNER_ENVIRONMENT": "github-hosted"}, "", []string{"sudo"}, 0, "installing QEMU",
			[]string{"curl https://releases.nixos.org/nix/nix-2.35.3/install", "installer --daemon --yes --no-channel-add", "sudo apt-get -q install -y --no-install-recommends qemu-system-x86"}, nil},
		{"to plan it needs no QEMU", "1.2.3", map[string]string{"ASTERBOT_COMMAND": "plan", "ASTERBOT_BINARY": "/bin/true", "RUNNER_ENVIRONMENT": "github-hosted"}, "", []string{"sudo"}, 0, "installing Nix", []string{"installer --daemon"}, []string{"apt-get"}},
		{"to report it needs neither", "1.2.3", map[string]string{"ASTERBOT_COMMAND": "report", "ASTERBOT_BINARY": "/bin/true", "RUNNER_ENVIRONMENT": "github-hosted"}, "", []string{"sudo"}, 0, "", nil, []string{"sudo", "installer"}},
		{"install: never is heeded", "1.2.3", map[string]string{"ASTERBOT_COMMAND": "boot", "ASTERBOT_INSTALL": "never", "ASTERBOT_BINARY": "/bin/true", "RUNNER_ENVIRONMENT": "github-hosted"}, "", []string{"sudo"}, 0, "", nil, []string{"sudo", "installer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			bin, asked := filepath.Join(dir, "bin"), filepath.Join(dir, "asked")
			put := func(name, text string, mode os.FileMode) {
				p := filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
				require.NoError(t, os.WriteFile(p, []byte(text), mode))
			}
			script, err := os.ReadFile("setup.sh")
			require.NoError(t, err)
			put("action/setup.sh", string(script), 0o755)
			put("VERSION", tc.version+"\n", 0o644)
			put("asked", "", 0o644)
			put("release/SHA256SUMS", tc.sums, 0o644)
			put("release/bot-linux-amd64", binary, 0o755)
			put("release/install", "echo \"installer $*\" >>"+asked+"\n", 0o755)
			// curl ... --output FILE URL
			put("bin/curl", "#!/bin/sh\nfor url; do :; done\necho \"curl $url\" >>"+asked+"\nwhile [ \"$1\" != --output ]; do shift; done\ncp "+dir+"/release/\"$(basename \"$url\")\" \"$2\"\n", 0o755)
			put("bin/uname", "#!/bin/sh\n[ \"$1\" = -m ] && echo x86_64 || { [ \"$1\" = -s ] && echo Linux || echo Linux x86_64; }\n", 0o755)
			for _, tool := range tc.tools {
				put("bin/"+tool, "#!/bin/sh\necho \""+tool+" $*\" >>"+asked+"\n", 0o755)
			}
			for _, tool := range []string{"bash", "sh", "cat", "mkdir", "dirname", "basename", "grep", "sha256sum", "chmod", "mv", "cp", "tail", "rm"} {
				p, err := exec.LookPath(tool)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(p, filepath.Join(bin, tool)))
			}
			cmd := exec.Command("bash", filepath.Join(dir, "action/setup.sh"))
			cmd.Env = []string{"PATH=" + bin, "HOME=" + dir, "RUNNER_TEMP=" + filepath.Join(dir, "tmp"), "GITHUB_OUTPUT=" + filepath.Join(dir, "output"), "GITHUB_PATH=" + filepath.Join(dir, "path"), "ASTERBOT_RELEASES=https://example.test"}
			for k, v := range tc.env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			said, err := cmd.CombinedOutput()
			if tc.exit == 0 {
				require.NoError(t, err, "%s", said)
			}
			assert.Equal(t, tc.exit, cmd.ProcessState.ExitCode(), "%s", said)
			assert.Contains(t, string(said), tc.says)
			log, err := os.ReadFile(asked)
			require.NoError(t, err)
			for _, want := range tc.asked {
				assert.Contains(t, string(log), want)
			}
			for _, not := range tc.never {
				assert.NotContains(t, string(log), not)
			}
			output, err := os.ReadFile(filepath.Join(dir, "output"))
			if tc.exit == 0 {
				require.NoError(t, err)
				assert.Contains(t, string(output), "bot=")
			}
		})
	}
}
