package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rhysd/actionlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/app"
	"github.com/asterinas/asterbot/internal/config"
)

func initRepository(t *testing.T, files map[string]string, args ...string) (dir, said string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	var out bytes.Buffer
	e := &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: dir, Getenv: func(string) string { return "" }}
	require.Zero(t, run(context.Background(), e, append([]string{"init"}, args...)), out.String())
	return dir, out.String()
}

func readConfig(t *testing.T, dir string) *config.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, config.Path))
	require.NoError(t, err)
	c, err := config.Parse(config.Path, data)
	require.NoError(t, err)
	return c
}

func TestInit(t *testing.T) {
	t.Run("a repository of overlays gets an entry that promises what they define", func(t *testing.T) {
		dir, said := initRepository(t, map[string]string{"overlays/hello/default.nix": "final: prev: { hello = prev.hello; }\n", "overlays/list.nix": "[ ]"})
		assert.Contains(t, said, "from 1 overlays")
		entry, err := os.ReadFile(filepath.Join(dir, ".github/asterbot.nix"))
		require.NoError(t, err)
		assert.Contains(t, string(entry), "(import ../overlays/hello/default.nix)")
		if _, err := exec.LookPath("nix-instantiate"); err != nil {
			t.Skip("needs Nix to parse the entry")
		}
		out, err := exec.Command("nix-instantiate", "--parse", filepath.Join(dir, ".github/asterbot.nix")).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	t.Run("an entry that exists is used", func(t *testing.T) {
		dir, _ := initRepository(t, map[string]string{"default.nix": "# The entry.\n{ kernel ? null, ... }: { packages = { }; }\n"})
		assert.NoFileExists(t, filepath.Join(dir, ".github/asterbot.nix"))
		assert.Equal(t, config.Places{"default.nix"}, readConfig(t, dir).Entry)
	})
	t.Run("Asterinas builds its own kernel", func(t *testing.T) {
		dir, _ := initRepository(t, map[string]string{"OSDK.toml": "", "Makefile": "", "VERSION": "0.18.1\n", "distro/etc_nixos/overlays/podman/default.nix": "final: prev: { }"})
		c := readConfig(t, dir)
		require.NotNil(t, c.Kernel.Build)
		assert.Equal(t, "asterinas", c.Kernel.Profile)
		assert.Equal(t, config.Places{"VERSION"}, c.Release.VersionFile)
	})
	t.Run("the package set that a flake locks is used", func(t *testing.T) {
		dir, _ := initRepository(t, map[string]string{"flake.lock": `{"nodes":{"nixpkgs":{"locked":{"owner":"NixOS","repo":"nixpkgs","rev":"` + strings.Repeat("c", 40) + `","narHash":"sha256-x"}}}}`})
		assert.Equal(t, config.Places{"flake.lock"}, readConfig(t, dir).Nixpkgs.Pin)
	})
	t.Run("with the App it publishes and answers", func(t *testing.T) {
		dir, _ := initRepository(t, nil, "--app")
		assert.Equal(t, config.PublishApp, readConfig(t, dir).Publish)
		assert.NoFileExists(t, filepath.Join(dir, ".github/workflows/commands.yml"))
		assert.FileExists(t, filepath.Join(dir, app.DefaultWorkflow), "where the App looks")
		assert.FileExists(t, filepath.Join(dir, app.DefaultRebuild))
	})
	t.Run("what exists is kept", func(t *testing.T) {
		dir, said := initRepository(t, map[string]string{config.Path: "entry: mine.nix\n"})
		assert.Contains(t, said, "kept   .github/asterbot.yml")
		assert.Equal(t, config.Places{"mine.nix"}, readConfig(t, dir).Entry)
	})
	t.Run("the workflows pass actionlint", func(t *testing.T) {
		for _, args := range [][]string{nil, {"--app"}} {
			dir, _ := initRepository(t, nil, args...)
			lintWorkflows(t, filepath.Join(dir, ".github/workflows"))
		}
	})
}

// TestWorkflows holds the project's own.
func TestWorkflows(t *testing.T) { lintWorkflows(t, filepath.Join("..", "..", ".github", "workflows")) }

func lintWorkflows(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out bytes.Buffer
	l, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{Shellcheck: "", Pyflakes: ""})
	require.NoError(t, err)
	found, err := l.LintFiles(files, nil)
	require.NoError(t, err)
	assert.Empty(t, found, out.String())
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, line := range strings.Split(string(data), "\n") {
			uses, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(line), "- "), "uses: ")
			if !ok || strings.HasPrefix(uses, "./") || strings.HasPrefix(uses, "asterinas/asterbot/") {
				continue
			}
			assert.Regexp(t, `^[a-z-]+/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`, uses, "%s: an action that is not pinned by commit", f)
		}
		assert.NotRegexp(t, `pull_request_target|secrets: inherit`, string(data), f)
		var doc any
		require.NoError(t, yaml.Unmarshal(data, &doc), f)
		for _, script := range scripts(doc) {
			assert.NotContains(t, script, "${{", "%s: an expression in a script", f)
		}
		assert.Regexp(t, `\npermissions: \{\}( #.*)?\n`, string(data), "%s: jobs ask for what they need, and nothing is given to all", f)
	}
}

// scripts are all values of keys named run.
func scripts(node any) []string {
	var out []string
	switch n := node.(type) {
	case map[string]any:
		for k, v := range n {
			if text, ok := v.(string); ok && k == "run" {
				out = append(out, text)
				continue
			}
			out = append(out, scripts(v)...)
		}
	case []any:
		for _, v := range n {
			out = append(out, scripts(v)...)
		}
	}
	return out
}
