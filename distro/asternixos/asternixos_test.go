// Package asternixos_test tries AsterNixOS out: what it evaluates to, what it says of wrong
// configurations, how its systems and its installer fare in machines.
package asternixos_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
	"github.com/asterinas/asterbot/distro/tinypkgs"
	"github.com/asterinas/asterbot/internal/kernel"
)

// set is the folder of tinypkgs as this machine's set-up left it.
func set(t *testing.T) string {
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

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir
}

// eval evaluates an expression in which entry is AsterNixOS on tinypkgs, and pkgs
// its package set with the overlays. Nothing may be fetched or built.
func eval(t *testing.T, expr string, into any) (stderr string, err error) {
	t.Helper()
	dir := set(t)
	prelude := `let
	  entry = import ` + here(t) + ` { nixpkgs = ` + dir + `; };
	  asterinas = import ` + here(t) + ` { nixpkgs = ` + dir + `; kernel = { image = ` + here(t) + `/pin.json; profile = "asterinas"; }; };
	  pkgs = import ` + dir + ` { overlays = map (o: o.overlay) (import ` + here(t) + `/overlays); };
	  inherit (pkgs) lib; in `
	args := append(tinypkgs.NixOptions(dir), "--option", "restrict-eval", "true", "--option", "allow-import-from-derivation", "false",
		"-I", here(t), "--readonly-mode", "--eval", "--strict", "--json", "--expr", prelude+expr)
	if lib := os.Getenv("ASTERBOT_NIX_LIB"); lib != "" {
		args = append(args, "-I", lib)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "nix-instantiate", args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return errs.String(), err
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), into))
	return errs.String(), nil
}

// Every area of the distribution has a suite, with an owner; every case has a
// package that is promised, and something to hold it to.
func TestSuites(t *testing.T) {
	var got struct {
		Packages []string
		Suites   map[string]struct {
			distro.Suite
			Packages []string
		}
	}
	stderr, err := eval(t, `{
	  packages = builtins.attrNames entry.packages;
	  suites = import ./suites // { configured = import ./suites/configured.nix; };
	}`, &got)
	require.NoError(t, err, stderr)
	names := map[string]bool{}
	for _, p := range got.Packages {
		names[p] = true
	}
	cases := 0
	for name, s := range got.Suites {
		assert.NotEmpty(t, s.Owner, name)
		seen := map[string]bool{}
		for _, c := range s.Cases {
			cases++
			assert.False(t, seen[c.Name], "%s has two cases %s", name, c.Name)
			seen[c.Name] = true
			pkg := c.Package[strings.LastIndexByte(c.Package, '.')+1:]
			assert.True(t, names[pkg], "%s: %s is about %q, which the entry does not promise", name, c.Name, c.Package)
			assert.NotEmpty(t, c.Run, c.Name)
		}
	}
	for _, area := range []string{"base", "nix-tools", "containers", "networking", "web", "databases", "languages", "desktop"} {
		assert.Contains(t, got.Suites, area)
	}
	assert.GreaterOrEqual(t, cases, 60)
}

// What tinypkgs lacks is said to be lacking, and is not dropped.
func TestWhatThePackageSetLacks(t *testing.T) {
	var got map[string]string
	stderr, err := eval(t, `
	  lib.mapAttrs (_: v: v.unavailable) (lib.filterAttrs (_: v: v ? unavailable) (entry.packages // entry.suites))`, &got)
	require.NoError(t, err, stderr)
	lacking := map[string]string{}
	for _, name := range []string{"asternixos-systemd", "desktop", "nixos", "podman", "runc", "xfdesktop", "xfwm4", "xorgserver"} {
		lacking[name] = "not in this package set"
	}
	assert.Equal(t, lacking, got)
}

// On an Asterinas kernel the command line carries both names of the log level, no modules are in the
// initramfs, and the installed system too has the kernel's parameters.
func TestAsterinasKernel(t *testing.T) {
	var got struct{ Own, Installed []string }
	stderr, err := eval(t, `{
	  own = asterinas.suites.configured.system.kernel.params;
	  installed = asterinas.images.iso.kernel.params;
	}`, &got)
	require.NoError(t, err, stderr)
	assert.Equal(t, []string{"earlycon", "loglevel=error", "ostd.log_level=error", "console=hvc0"}, got.Own)
	assert.Equal(t, got.Own, got.Installed)
}

// A wrong configuration is told what is wrong, and what to do.
func TestWrongConfigurations(t *testing.T) {
	tests := []struct{ name, config, says string }{
		{"a Linux module for an Asterinas kernel", `boot.kernelModules = [ "kvm" ];`,
			"boot.kernelModules names kvm, but Asterinas loads no Linux kernel modules. Remove it from "},
		{"a service that is off for no reason", `asternixos.services.disabled.cron = " ";`,
			`asternixos.services.disabled."cron" has no reason`},
		{"a shell in an initramfs that is not there", `asternixos.initramfs = { enable = false; shell = true; };`,
			"asternixos.initramfs.shell needs asternixos.initramfs.enable"},
		{"containers on a package set without podman", `asternixos.containers.enable = true;`,
			"needs podman and runc, which this package set does not have"},
		{"a desktop on a package set without one", `asternixos.desktop.enable = true;`,
			"needs the X server and Xfce, which this package set does not have"},
		{"a root that Asterinas does not mount", `fileSystems."/".fsType = "btrfs";`,
			"fsType is btrfs, but Asterinas mounts its root from ext2"},
		{"a log level that is none", `asternixos.logLevel = "quiet";`,
			"A definition for option `asternixos.logLevel' is not of type"},
		{"an option that does not exist", `asternixos.loglevel = "error";`,
			"The option `asternixos.loglevel' does not exist"},
		{"two host names", `imports = [ { networking.hostName = "other"; } ];`,
			"The option `networking.hostName' has conflicting definition values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got any
			stderr, err := eval(t, `(pkgs.nixos { imports = [ ./configuration.nix { `+tt.config+` } ]; }).config.system.build.toplevel.drvPath`, &got)
			require.Error(t, err, "it evaluates: %v", got)
			assert.Contains(t, stderr, tt.says)
		})
	}
}

// build builds an attribute of the entry, in the sandbox, offline.
func build(t *testing.T, attr, kernelArg string) string {
	t.Helper()
	dir := set(t)
	expr := `(import ` + here(t) + ` { nixpkgs = ` + dir + `; kernel = ` + kernelArg + `; }).` + attr
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "nix-build", append(tinypkgs.NixOptions(dir), "--no-out-link", "--expr", expr)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), errs.String())
	return strings.TrimSpace(out.String())
}

// bot builds the command once.
func bot(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bot")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "../../cmd/bot").CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// A package that brings Linux modules fails the build of an Asterinas system, by name.
func TestModulesFailTheBuild(t *testing.T) {
	dir := set(t)
	expr := `let pkgs = import ` + dir + ` { overlays = map (o: o.overlay) (import ` + here(t) + `/overlays); }; in
	  (pkgs.nixos {
	    imports = [ ` + here(t) + `/configuration.nix ];
	    system.kernel = { image = ` + here(t) + `/pin.json; profile = "asterinas"; };
	    environment.systemPackages = [ (pkgs.runCommand "with-module" { } "mkdir -p $out/bin $out/lib/modules/6.1; touch $out/lib/modules/6.1/x.ko.xz") ];
	  }).config.system.build.toplevel`
	out, err := exec.CommandContext(t.Context(), "nix-build", append(tinypkgs.NixOptions(dir), "--no-out-link", "--expr", expr)...).CombinedOutput()
	require.Error(t, err, "it builds: %s", out)
	assert.Contains(t, string(out), "Linux kernel modules are in the closure of environment.systemPackages, and Asterinas loads none")
	assert.Contains(t, string(out), "with-module/lib/modules/6.1/x.ko.xz")
}
