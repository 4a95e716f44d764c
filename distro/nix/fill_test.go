package nix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro/nix"
)

func TestFill(t *testing.T) {
	if _, err := exec.LookPath("nix-store"); err != nil {
		t.Skip("needs Nix")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "what-was-built")
	require.NoError(t, os.WriteFile(file, []byte("built "+dir), 0o644))
	out, err := exec.Command("nix-store", "--add", file).Output()
	require.NoError(t, err)
	path := strings.TrimSpace(string(out))
	secret, public := filepath.Join(dir, "secret"), filepath.Join(dir, "public")
	require.NoError(t, exec.Command("nix-store", "--generate-binary-cache-key", "cache.test-1", secret, public).Run())
	key, err := os.ReadFile(secret)
	require.NoError(t, err)
	to := filepath.Join(dir, "cache")

	n := &nix.Nix{}
	require.NoError(t, n.Fill(t.Context(), nix.BinaryCache{URL: "file://" + to, Key: string(key)}, []string{path}))
	info, err := os.ReadFile(filepath.Join(to, filepath.Base(path)[:32]+".narinfo"))
	require.NoError(t, err)
	assert.Contains(t, string(info), "StorePath: "+path)
	assert.Contains(t, string(info), "Sig: cache.test-1:", "signed, so that others may use it")

	require.NoError(t, n.Fill(t.Context(), nix.BinaryCache{}, nil), "nothing was built")
	assert.ErrorContains(t, n.Fill(t.Context(), nix.BinaryCache{URL: "file://" + to}, []string{path}), "no key to sign with")
	assert.ErrorContains(t, n.Fill(t.Context(), nix.BinaryCache{URL: "bucket", Key: string(key)}, []string{path}), "is no address of a store")
}
