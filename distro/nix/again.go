package nix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// Again builds a derivation that is in the store once more and compares the two,
// byte for byte. same is false where they differ, and difference says in Nix's
// words what does. An error means that it could not be built again.
func (n *Nix) Again(ctx context.Context, drv string, b Build) (same bool, difference string, err error) {
	folder, err := tempdir.New("", "asterbot-build-")
	if err != nil {
		return false, "", fmt.Errorf("build again: %w", err)
	}
	defer folder.Remove()
	home := folder.Path
	b.Targets = []Target{{Drv: drv}}
	args := n.realiseArgs(b, home)
	// Plain words on standard error, no roots: nothing new is kept.
	args = slices.DeleteFunc(args, func(a string) bool {
		return a == "--log-format" || a == "internal-json" || a == "-v" || a == "--keep-going"
	})
	if i := slices.Index(args, "--indirect"); i >= 0 && i+3 <= len(args) {
		args = slices.Delete(args, i, i+3)
	}
	cmd := &proc.Cmd{
		Path: n.program("nix-store"), Args: append(args, "--check"), Env: append(n.env(home), "NIX_CONF_DIR="+home), Dir: home, Grace: 5 * time.Second,
	}
	_, err = cmd.Output(ctx)
	if err == nil {
		return true, "", nil
	}
	var failed *proc.Error
	if errors.As(err, &failed) {
		for _, line := range strings.Split(failed.Tail, "\n") {
			if strings.Contains(line, "may not be deterministic") {
				return false, strings.TrimSpace(strings.TrimPrefix(line, "error:")), nil
			}
		}
	}
	return false, "", fmt.Errorf("build %s again: %w", drv, err)
}
