package nix

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// Fetch puts the tree that an archive holds into the store, and returns where. The
// hash, of the tree, says what it has to be; where the store has it already, nothing
// is fetched.
func (n *Nix) Fetch(ctx context.Context, url, name, hash string) (string, error) {
	folder, err := tempdir.New("", "asterbot-fetch-")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", url, err)
	}
	defer folder.Remove()
	home := folder.Path
	cmd := &proc.Cmd{
		Path: n.program("nix-prefetch-url"), Args: []string{"--unpack", "--print-path", "--name", name, "--", url, hash},
		Env: append(n.env(home), "TMPDIR="+home), Dir: home, Grace: 5 * time.Second,
	}
	out, err := cmd.Output(ctx)
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", url, err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "/") {
		return "", fmt.Errorf("fetch %s: Nix said %q", url, out)
	}
	return lines[1], nil
}
