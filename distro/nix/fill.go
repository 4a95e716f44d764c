package nix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/asterinas/asterbot/internal/proc"
	"github.com/asterinas/asterbot/internal/tempdir"
)

// BinaryCache is a store that others substitute from.
type BinaryCache struct {
	// URL is Nix's: s3://BUCKET?region=REGION, file:///FOLDER, ssh-ng://HOST.
	URL string
	// Key is the secret key that paths are signed with, as
	// 'nix-store --generate-binary-cache-key' makes it.
	Key string
	// Env are further variables for Nix alone, such as AWS_ACCESS_KEY_ID.
	Env []string
}

// Fill copies store paths, and what they refer to, into a binary cache.
func (n *Nix) Fill(ctx context.Context, c BinaryCache, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	if !strings.Contains(c.URL, "://") {
		return fmt.Errorf("fill the binary cache: %q is no address of a store, such as s3://BUCKET?region=REGION", c.URL)
	}
	if c.Key == "" {
		return errors.New("fill the binary cache: there is no key to sign with, and nobody would use what is not signed")
	}
	folder, err := tempdir.New("", "asterbot-fill-")
	if err != nil {
		return fmt.Errorf("fill the binary cache: %w", err)
	}
	defer folder.Remove()
	home := folder.Path
	key := filepath.Join(home, "key")
	if err := os.WriteFile(key, []byte(strings.TrimSpace(c.Key)), 0o600); err != nil {
		return fmt.Errorf("fill the binary cache: %w", err)
	}
	to := c.URL + "?secret-key=" + key
	if strings.Contains(c.URL, "?") {
		to = c.URL + "&secret-key=" + key
	}
	// A few at a time: a command line has its limits.
	for part := range slices.Chunk(paths, 200) {
		cmd := &proc.Cmd{
			Path: n.program("nix"), Args: append([]string{"--extra-experimental-features", "nix-command", "copy", "--to", to, "--"}, part...),
			Env: append(n.env(home), c.Env...), Dir: home, Grace: 5 * time.Second,
		}
		if err := cmd.Run(ctx); err != nil {
			return fmt.Errorf("fill the binary cache: %w", err)
		}
	}
	return nil
}
