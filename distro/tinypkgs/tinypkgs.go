// Package tinypkgs carries a package set with nixpkgs' interface that Nix can build offline, from Debian packages the set-up imported.
//
// The set itself is in the folder nix: overlays as a fixed point, callPackage, override, overrideAttrs, a stdenv with phases,
// upstream programs, a Linux kernel, bootable systems and an installer image. Extract puts it where Nix can evaluate it:
//
//	dir, err := tinypkgs.Extract(cache)
//	exec.Command("nix-instantiate", append(tinypkgs.NixOptions(dir), "entry.nix", "--arg", "nixpkgs", dir)...)
//
// What it may take from the machine is written by the set-up (bot doctor --install) to host.nix in the cache.
package tinypkgs

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/asterinas/asterbot/internal/proc"
)

//go:embed nix
var files embed.FS

// ErrNotSetUp says that the set-up did not run on this machine: the cache has no host.nix.
var ErrNotSetUp = errors.New("this machine is not set up: run 'bot doctor --install'")

// Extract writes the package set into a folder of the cache and returns that folder. The folder's name depends on the content, so
// that a new asterbot, or a new set-up, never changes files under an evaluation that is running. It is safe to call from several
// processes at once. The error is ErrNotSetUp where the cache lacks host.nix.
func Extract(cache string) (string, error) {
	host, err := os.ReadFile(filepath.Join(cache, "host.nix"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("tinypkgs: no %s: %w", filepath.Join(cache, "host.nix"), ErrNotSetUp)
	}
	if err != nil {
		return "", fmt.Errorf("tinypkgs: read what the set-up found: %w", err)
	}
	dir := filepath.Join(cache, "tinypkgs", digest(host))
	if _, err := os.Stat(filepath.Join(dir, "default.nix")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	defer os.RemoveAll(tmp)
	nix, err := fs.Sub(files, "nix")
	if err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	if err := os.CopyFS(tmp, nix); err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tmp, "host.nix"), host, 0o644); err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		// Another process was first: what it wrote is the same.
		if _, statErr := os.Stat(filepath.Join(dir, "default.nix")); statErr == nil {
			return dir, nil
		}
		return "", fmt.Errorf("tinypkgs: extract: %w", err)
	}
	return dir, nil
}

// digest names the content: the embedded files in order, then host.nix.
func digest(host []byte) string {
	h := sha256.New()
	// Walking an embedded file system cannot fail.
	_ = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", path, len(data))
		h.Write(data)
		return err
	})
	h.Write(host)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// NixOptions returns the arguments that every Nix command on the package set needs: the folder is allowed in
// restricted evaluation, builds are sandboxed or not done, no substituter is asked, and as root on a machine
// without Nix's build users (Debian's nix-bin brings none) the sandbox runs without them.
func NixOptions(dir string) []string {
	return []string{
		"-I", "nixpkgs=" + dir,
		"--option", "sandbox", "true",
		"--option", "sandbox-fallback", "false",
		"--option", "substituters", "",
		"--option", "build-users-group", "",
	}
}

// Prepare builds, in the sandbox, what takes long and no overlay changes (the compiler, the kernel, what configure scripts found out), and keeps it
// from garbage collection. It is quick where that is there already. Build logs go to stderr.
func Prepare(ctx context.Context, cache, dir string, stderr io.Writer) error {
	args := append(NixOptions(dir), "--attr", "prepared", "--out-link", filepath.Join(cache, "roots", "prepared"), dir)
	cmd := &proc.Cmd{Path: "nix-build", Args: args, Stdout: io.Discard, Stderr: stderr}
	if err := cmd.Run(ctx); err != nil {
		return fmt.Errorf("tinypkgs: build what every check needs: %w", err)
	}
	return nil
}
