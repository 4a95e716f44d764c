package nix

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// probeNix builds with a static shell whether a file of the host can be seen, and
// a network interface beside the loopback.
const probeNix = `{ shell, witness, nonce }: derivation {
  name = "asterbot-sandbox-probe";
  system = builtins.currentSystem;
  builder = "${builtins.path { path = /. + shell; name = "probe-shell"; }}/busybox";
  args = [ "sh" "-c" ''
    if [ -e "$witness" ]; then echo host files are visible; exit 1; fi
    while read -r line; do case "$line" in *:*) case "$line" in *lo:*) ;; *) echo the network is visible; exit 1 ;; esac ;; esac; done < /proc/net/dev
    echo sealed > $out
  '' ];
  inherit witness nonce;
}
`

// ProbeSandbox proves by a build that builds are sealed off: under a multi-user
// daemon a setting proves nothing. The error wraps ErrUntrusted and says
// what to do.
func (n *Nix) ProbeSandbox(ctx context.Context) error {
	var shell string
	for _, p := range []string{"/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static"} {
		if _, err := os.Stat(p); err == nil {
			shell = p
			break
		}
	}
	if shell == "" {
		return fmt.Errorf("%w: the sandbox cannot be proven without a static shell; install busybox-static", ErrUntrusted)
	}
	folder, err := tempdir.New("", "asterbot-probe-")
	if err != nil {
		return err
	}
	defer folder.Remove()
	dir := folder.Path
	witness := filepath.Join(dir, "witness")
	nonce := make([]byte, 16)
	rand.Read(nonce)
	for name, text := range map[string]string{"witness": "", "probe.nix": probeNix} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	tools := filepath.Join(dir, "tools")
	if err := os.Mkdir(tools, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(shell)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tools, "busybox"), program, 0o755); err != nil {
		return err
	}
	args := []string{
		filepath.Join(dir, "probe.nix"), "--no-out-link", "--argstr", "shell", tools, "--argstr", "witness", witness, "--argstr", "nonce", hex.EncodeToString(nonce),
		"--option", "timeout", "60", "--option", "substituters", "",
	}
	for i, all := 0, n.realiseArgs(Build{}, dir); i+2 < len(all); i++ {
		if all[i] == "--option" && (strings.HasPrefix(all[i+1], "sandbox") || all[i+1] == "build-users-group") {
			args = append(args, all[i:i+3]...)
		}
	}
	cmd := &proc.Cmd{Path: n.program("nix-build"), Args: args, Env: n.env(dir), Dir: dir}
	out, err := cmd.Output(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	const remedy = "allow it: on Linux user and mount namespaces must be available to Nix (sysctl kernel.unprivileged_userns_clone=1, or run Nix's daemon as root), and nix.conf must say sandbox = true"
	if err != nil {
		return fmt.Errorf("%w: a build in a sandbox failed, so builds cannot be sealed off; %s: %w", ErrUntrusted, remedy, err)
	}
	sealed, err := os.ReadFile(strings.TrimSpace(string(out)))
	if err != nil || strings.TrimSpace(string(sealed)) != "sealed" {
		return fmt.Errorf("%w: builds are not sealed off; %s", ErrUntrusted, remedy)
	}
	return nil
}
