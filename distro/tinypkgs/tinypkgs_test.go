package tinypkgs_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/kernel"
)

// extracted returns the package set as this machine's set-up left it.
func extracted(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("nix-build"); err != nil {
		t.Skipf("needs nix-bin: %v", err)
	}
	dir, err := tinypkgs.Extract(kernel.Cache(os.Getenv))
	if errors.Is(err, tinypkgs.ErrNotSetUp) {
		t.Skipf("needs the set-up: %v", err)
	}
	require.NoError(t, err)
	return dir
}

// eval evaluates an expression, restricted, with pkgs in scope and no network, and decodes its JSON.
func eval(t *testing.T, expr string) (value any, stderr string, err error) {
	t.Helper()
	dir := extracted(t)
	args := append(tinypkgs.NixOptions(dir), "--option", "restrict-eval", "true", "--readonly-mode",
		"--eval", "--strict", "--json", "--expr", "let pkgs = import <nixpkgs> { }; inherit (pkgs) lib; in "+expr)
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), "nix-instantiate", args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, errs.String(), err
	}
	require.NoError(t, json.Unmarshal([]byte(out.String()), &value))
	return value, errs.String(), nil
}

// build builds an expression in the sandbox and returns its output path, or the log.
func build(t *testing.T, expr string, more ...string) (path, log string, err error) {
	t.Helper()
	dir := extracted(t)
	args := append(tinypkgs.NixOptions(dir), "--no-out-link", "--expr", "with import <nixpkgs> { }; "+expr)
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), "nix-build", append(args, more...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

func TestExtractNeedsTheSetUp(t *testing.T) {
	_, err := tinypkgs.Extract(t.TempDir())
	require.ErrorIs(t, err, tinypkgs.ErrNotSetUp)
	assert.Contains(t, err.Error(), "bot doctor --install")
}

func TestExtractIsStableAndFollowsTheHost(t *testing.T) {
	cache := t.TempDir()
	host := filepath.Join(cache, "host.nix")
	require.NoError(t, os.WriteFile(host, []byte("{ }"), 0o644))
	first, err := tinypkgs.Extract(cache)
	require.NoError(t, err)
	again, err := tinypkgs.Extract(cache)
	require.NoError(t, err)
	assert.Equal(t, first, again)

	require.NoError(t, os.WriteFile(host, []byte("{ debian = { }; }"), 0o644))
	other, err := tinypkgs.Extract(cache)
	require.NoError(t, err)
	assert.NotEqual(t, first, other, "an upgraded toolchain must not change files under a running evaluation")
	assert.FileExists(t, filepath.Join(first, "default.nix"))
}

// The interface that distributions on nixpkgs use, as expressions that are true.
func TestNixpkgsInterface(t *testing.T) {
	const overlay = `import <nixpkgs> { overlays = [
		(final: prev: { first = 1; hello = prev.hello.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ "a" ]; }); })
		(final: prev: { second = prev.first + 1; third = final.fourth; fourth = 4; })
	]; }`
	for name, expr := range map[string]string{
		"a later overlay sees an earlier one":             `(` + overlay + `).second == 2`,
		"an overlay sees the end result through final":    `(` + overlay + `).third == 4`,
		"an overlay changes a package's derivation":       `(` + overlay + `).hello.drvPath != pkgs.hello.drvPath`,
		"dependants see what an overlay changed":          `(import <nixpkgs> { overlays = [ (final: prev: { lua = prev.lua.overrideAttrs { pname = "moon"; }; }) ]; }).lua-cjson.drvPath != pkgs.lua-cjson.drvPath`,
		"override replaces an argument":                   `(pkgs.lua-cjson.override { lua = pkgs.hello; }).drvPath != pkgs.lua-cjson.drvPath`,
		"override takes a function of the old arguments":  `(pkgs.lua-cjson.override (old: { lua = old.lua; })).drvPath == pkgs.lua-cjson.drvPath`,
		"overrideAttrs takes a set":                       `(pkgs.hello.overrideAttrs { pname = "hi"; }).name == "hi-${pkgs.hello.version}"`,
		"overrideAttrs takes a function of the old":       `(pkgs.hello.overrideAttrs (old: { pname = old.pname + "2"; })).pname == "hello2"`,
		"overrideAttrs takes a function of final and old": `(pkgs.hello.overrideAttrs (final: prev: { pname = "x"; name = "${final.pname}-1"; })).name == "x-1"`,
		"overrideAttrs adds up":                           `((pkgs.hello.overrideAttrs { a = "1"; }).overrideAttrs (old: { b = old.a; })).b == "1"`,
		"override is kept by overrideAttrs":               `((pkgs.lua-cjson.overrideAttrs { pname = "x"; }).override { lua = pkgs.hello; }).pname == "x"`,
		"mkDerivation takes a function of itself":         `(pkgs.stdenv.mkDerivation (final: { pname = "a"; version = "1"; passthru.twice = final.version + final.version; })).twice == "11"`,
		"passthru does not change the derivation":         `(pkgs.hello.overrideAttrs { passthru.x = 1; }).drvPath == pkgs.hello.drvPath`,
		"meta does not change the derivation":             `(pkgs.hello.overrideAttrs { meta.x = 1; }).drvPath == pkgs.hello.drvPath`,
		"meta.position is where the description is":       `lib.hasInfix "/pkgs/hello.nix:" pkgs.hello.meta.position`,
		"an overlay's attributes have a position":         `builtins.unsafeGetAttrPos "lua" ((final: prev: { lua = 1; }) { } { }) != null`,
		"fixed outputs do not depend on the URL":          `(pkgs.fetchurl { url = "mirror://a/x.tar"; sha256 = lib.fakeSha256; }).outPath == (pkgs.fetchurl { url = "mirror://b/x.tar"; sha256 = lib.fakeSha256; }).outPath`,
		"getExe knows the main program":                   `lib.hasSuffix "/bin/mini_httpd" (lib.getExe pkgs.mini-httpd)`,
		"an installer of a multiboot kernel is refused":   `(pkgs.makeInstaller { name = "x"; kernel = { image = "/k"; protocol = "multiboot"; }; }) ? unavailable`,
		"a kernel may be an image alone":                  `(pkgs.makeSystem { name = "x"; kernel = pkgs.hello; }).kernel.profile == "linux"`,
		"Asterinas gets no modules":                       `(pkgs.makeSystem { name = "x"; kernel = { image = pkgs.hello; profile = "asterinas"; modules = pkgs.linux; }; }).kernel.modules == null`,
	} {
		t.Run(name, func(t *testing.T) {
			got, stderr, err := eval(t, expr)
			require.NoError(t, err, stderr)
			assert.Equal(t, true, got)
		})
	}
}

func TestEvaluationNamesWhatIsMissing(t *testing.T) {
	for name, tt := range map[string]struct{ expr, want string }{
		"callPackage of an unknown argument": {`(pkgs.callPackage ({ helo }: helo) { })`, "there is no package for the argument 'helo'"},
		"a source that was not imported":     {`(pkgs.fetchDebianSource "emacs")`, "no source package 'emacs'"},
		"a Debian package not imported":      {`(pkgs.fromDebian { package = "emacs"; programs = [ "emacs" ]; }).drvPath`, "no Debian package 'emacs'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, err := eval(t, tt.expr)
			require.Error(t, err)
			assert.Contains(t, stderr, tt.want)
		})
	}
}

func TestBuildsAreSealedOff(t *testing.T) {
	_, log, err := build(t, `runCommand "sealed" { host = `+"\"/etc/os-release /usr /bin/ls\""+`; } "for f in $host; do if [ -e $f ]; then echo $f is visible; exit 1; fi; done; echo ok >$out"`)
	require.NoError(t, err, log)
}

func TestScriptsAndTemplates(t *testing.T) {
	path, log, err := build(t, `replaceVarsWith { src = writeText "t" "hello @who@\n"; replacements.who = "guest"; name = "t"; dir = "bin"; isExecutable = true; }`)
	require.NoError(t, err, log)
	text, err := os.ReadFile(filepath.Join(path, "bin", "t"))
	require.NoError(t, err)
	assert.Equal(t, "hello guest\n", string(text))

	_, log, err = build(t, `replaceVarsWith { src = writeText "t" "hello\n"; replacements.who = "guest"; }`)
	require.Error(t, err)
	assert.Contains(t, log, "does not contain '@who@'")
	_, log, err = build(t, `replaceVarsWith { src = writeText "t" "@who@ and @whom@\n"; replacements.who = "guest"; }`)
	require.Error(t, err)
	assert.Contains(t, log, "nothing replaces")
}

func TestAPatchThatDoesNotApplyFailsTheBuild(t *testing.T) {
	_, log, err := build(t, `bzip2.overrideAttrs { patches = [ (writeText "stale.patch" "--- a/bzip2.c\n+++ b/bzip2.c\n@@ -1,1 +1,1 @@\n-not there\n+x\n") ]; }`)
	require.Error(t, err)
	assert.Contains(t, log, "Hunk #1 FAILED")
}

// What a system and an image are made of is made the same twice: a memo keyed by hashes depends on it.
func TestBuildsAreReproducible(t *testing.T) {
	for name, expr := range map[string]string{
		"a program":   `lua`,
		"an init":     `guest-init`,
		"an initrd":   `makeInitrd { packages = [ lua ]; modules = linux; }`,
		"an image":    `makeInstaller { name = "reproducible"; packages = [ lua ]; }`,
		"a root disk": `makeInitrd { packages = [ lua ]; root = true; }`,
	} {
		t.Run(name, func(t *testing.T) {
			_, log, err := build(t, expr)
			require.NoError(t, err, log)
			_, log, err = build(t, expr, "--check")
			require.NoError(t, err, log)
		})
	}
}
