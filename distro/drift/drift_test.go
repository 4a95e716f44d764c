package drift_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro/drift"
)

var update = flag.Bool("update", false, "write the golden files anew")

// check is a check of the overlays in testdata against the package set there.
func check(t *testing.T) drift.Check {
	t.Helper()
	for _, tool := range []string{"nix-instantiate", "patch", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	dir, err := filepath.Abs("testdata")
	require.NoError(t, err)
	// A store of its own: nothing is built, only sources are added.
	store := t.TempDir()
	t.Cleanup(func() {
		_ = filepath.WalkDir(store, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(p, 0o755)
			}
			return nil
		})
	})
	return drift.Check{
		Overlays: filepath.Join(dir, "overlays"), Root: dir, Nixpkgs: filepath.Join(dir, "set"),
		Options: []string{"--option", "store", store},
	}
}

// The set in testdata has a package for everything that can become of one.
func TestRun(t *testing.T) {
	r, err := check(t).Run(t.Context())
	require.NoError(t, err)
	assert.True(t, r.Drifted())
	assert.False(t, r.Looked())
	r.Nixpkgs = "0123456789abcdef"
	for name, render := range map[string]func(*bytes.Buffer) error{
		"report.json": func(b *bytes.Buffer) error { return drift.JSON(b, r) },
		"report.txt":  func(b *bytes.Buffer) error { return drift.Text(b, r) },
		"report.md":   func(b *bytes.Buffer) error { return drift.Markdown(b, r) },
	} {
		var b bytes.Buffer
		require.NoError(t, render(&b))
		golden := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(golden, b.Bytes(), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), b.String(), name)
	}
}

func TestOverlaysThatAreNotThere(t *testing.T) {
	c := check(t)
	c.Overlays = filepath.Join(t.TempDir(), "none")
	_, err := c.Run(t.Context())
	assert.ErrorContains(t, err, "list the overlays")
}

func TestARevisionIsFetched(t *testing.T) {
	args := drift.Check{Overlays: "/o", Nixpkgs: "nixos-25.05"}.Args("f.nix", "list", nil, nil)
	assert.Contains(t, args, `(builtins.fetchTarball "https://github.com/NixOS/nixpkgs/archive/nixos-25.05.tar.gz")`)
	args = drift.Check{Overlays: "/o", Nixpkgs: "./nixpkgs"}.Args("f.nix", "package", []string{"xfce", "a${b}"}, []string{"a"})
	assert.Contains(t, args, "./nixpkgs")
	assert.Contains(t, args, `[ "xfce" "a\${b}" ]`)
	assert.Contains(t, args, `[ "a" ]`)
}
