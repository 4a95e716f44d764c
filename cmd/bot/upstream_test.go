//go:build upstream

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/checks/report"
	"github.com/asterinas/asterbot/distro"
)

// TestUpstream plans real commits of asterinas/asterinas from outside, with
// examples/asterinas, on corepkgs. What is expected was worked out by hand from
// the commits.
func TestUpstream(t *testing.T) {
	repo, corpus := os.Getenv("UPSTREAM"), os.Getenv("CORPUS")
	if repo == "" || corpus == "" {
		t.Skip("needs UPSTREAM, a clone of asterinas/asterinas, and CORPUS, a folder with corepkgs and nix-lib")
	}
	set := t.TempDir()
	for _, name := range []string{"corepkgs", "nix-lib"} {
		out, err := exec.Command("cp", "-r", filepath.Join(corpus, name), filepath.Join(set, name)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(set, "corepkgs/pins.nix"), []byte("{ lib = ../nix-lib; }\n"), 0o644))
	config, err := filepath.Abs("../../examples/asterinas/asterbot.yml")
	require.NoError(t, err)
	cache := t.TempDir()

	const overlays = "distro/etc_nixos/overlays/"
	for _, tc := range []struct {
		name, commit string
		scope        []distro.Scope
		// attributes that are affected: status, and a file that one of its causes
		// names
		want map[string][2]string
		// whether an image is among them
		kernel string
	}{
		{"the podman overlay is added: runc and podman are patched", "b5a05cba0", []distro.Scope{"overlay", "modules"}, map[string][2]string{
			"runc":   {"rebuilt", "distro/overlays/podman/runc-Disable-creating-dev-mqueue.patch"},
			"podman": {"rebuilt", "distro/overlays/podman/Podman-Disable-etc-hosts-and-etc-resolv-conf-injection.patch"},
		}, "unchanged"},
		{"the systemd overlay is added under a name of its own", "25f77eaf9", []distro.Scope{"overlay", "modules"}, map[string][2]string{
			"aster_systemd": {"added", "distro/overlays/systemd/default.nix"},
		}, "unchanged"},
		{"the codex overlay imports what it fetches", "c0716eea6", []distro.Scope{"overlay", "installer", "tests"}, map[string][2]string{
			"codex":     {"eval-failed", overlays + "codex/default.nix"},
			"installer": {"rebuilt", overlays + "codex/default.nix"},
		}, "unchanged"},
		{"a package is added", "cc227b8d0", []distro.Scope{"overlay", "installer", "ci"}, map[string][2]string{
			"test-asterinas": {"added", overlays + "test-asterinas/default.nix"},
			"installer":      {"rebuilt", overlays + "test-asterinas/default.nix"},
		}, "unchanged"},
		{"an overlay is only formatted", "42bd84fa9", []distro.Scope{"overlay", "modules"}, map[string][2]string{}, "unchanged"},
		{"a module changes: no package does, the installer that carries it does", "211a5b090", []distro.Scope{"modules"}, map[string][2]string{
			"installer": {"rebuilt", "distro/etc_nixos/modules/container.nix"},
		}, "unchanged"},
		{"the installer's own script changes", "065ee1a79", []distro.Scope{"installer"}, map[string][2]string{
			"installer": {"rebuilt", "distro/aster_nixos_installer/templates/install_nixos.sh"},
		}, "unchanged"},
		{"only the kernel changes", "88a3596ac", []distro.Scope{"kernel"}, map[string][2]string{}, "unknown"},
		{"only the documentation changes", "15350a519", []distro.Scope{"docs"}, map[string][2]string{}, "unchanged"},
		{"a module is cleaned up", "c9ca65cc3", []distro.Scope{"modules"}, map[string][2]string{
			"installer": {"rebuilt", "distro/etc_nixos/modules/core.nix"},
		}, "unchanged"},
		{"the installer's command gets other text", "05f548507", []distro.Scope{"installer"}, map[string][2]string{
			"installer": {"rebuilt", "distro/aster_nixos_installer/templates/aster-nixos-install"},
		}, "unchanged"},
		{"the installer's command is renamed, its text is not changed", "546e32e23", []distro.Scope{"installer", "image", "docs", "other"}, map[string][2]string{
			"installer": {"rebuilt", "distro/aster_nixos_installer/default.nix"},
		}, "unchanged"},
		{"blanks at line ends, in the kernel and in a module that the installer carries", "7320900dd", []distro.Scope{"kernel", "modules", "tests", "ci", "docs", "other"}, map[string][2]string{
			"installer": {"rebuilt", "distro/etc_nixos/modules/systemd.nix"},
		}, "unknown"},
		{"an overlay for what the package set lacks", "ff2c2ae67", []distro.Scope{"overlay", "installer", "image", "other"}, map[string][2]string{
			"jtreg":     {"eval-failed", overlays + "jtreg/default.nix"},
			"installer": {"rebuilt", overlays + "jtreg/default.nix"},
		}, "unchanged"},
		{"a patch of a package that this set does not evaluate is dropped", "d0ccbf006", []distro.Scope{"overlay", "modules"}, map[string][2]string{
			"installer": {"rebuilt", overlays + "desktop/patches/xorgServer/0002-hardcode-tty1-usage-due-to-Asterinas-limitations.patch"},
		}, "unchanged"},
		{"scripts that nothing evaluates", "916ea0e08", []distro.Scope{"other"}, map[string][2]string{}, "unchanged"},
		{"a package is removed", "d193ba821", []distro.Scope{"overlay", "modules", "installer", "image", "tests", "other"}, map[string][2]string{
			"test-asterinas": {"removed", overlays + "test-asterinas/default.nix"},
			"installer":      {"rebuilt", "distro/etc_nixos/modules/core.nix"},
		}, "unchanged"},
		{"an argument of the installer goes", "c439df3d0", []distro.Scope{"installer", "image", "tests", "docs", "other"}, map[string][2]string{
			"installer": {"rebuilt", "distro/aster_nixos_installer/default.nix"},
		}, "unchanged"},
		{"a name in the kernel's tree and in a module", "33f370966", []distro.Scope{"kernel", "modules", "installer", "other"}, map[string][2]string{
			"installer": {"rebuilt", "distro/etc_nixos/modules/core.nix"},
		}, "unknown"},
		{"the kernel's tools and scripts", "6288c057b", []distro.Scope{"kernel", "ci", "other"}, map[string][2]string{}, "unknown"},
		{"an image that this set has no modules for", "cf0ae116b", []distro.Scope{"image"}, map[string][2]string{}, "unchanged"},
		{"a script that a package is made of", "29aa35944", []distro.Scope{"overlay", "ci"}, map[string][2]string{
			"test-asterinas": {"rebuilt", overlays + "test-asterinas/test-podman.sh"},
			"installer":      {"rebuilt", overlays + "test-asterinas/test-podman.sh"},
		}, "unchanged"},
		{"58 files move: the overlays give what they gave, an installer is new", "f49cc245a", []distro.Scope{"overlay", "modules", "installer", "ci", "other"}, map[string][2]string{
			"installer": {"added", "distro/aster_nixos_installer/default.nix"},
		}, "unchanged"},
		{"a module, before there was an installer to carry it", "74ed6c721", []distro.Scope{"modules"}, map[string][2]string{}, "unchanged"},
		{"an overlay that the package set's own code does not evaluate with", "5ef4cd820", []distro.Scope{"overlay", "modules"}, map[string][2]string{
			"xorg.xorgserver": {"eval-failed", "distro/overlays/desktop/default.nix"},
		}, "unchanged"},
		{"the first commit with a distribution", "1bd5bdae8", []distro.Scope{"overlay", "modules", "ci", "docs", "other"}, map[string][2]string{
			"hello-asterinas": {"added", "distro/overlays/hello-asterinas/default.nix"},
		}, "unchanged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			e := &env{Stdin: os.Stdin, Stdout: &out, Stderr: &errs, Dir: t.TempDir(), Getenv: func(name string) string {
				if name == "ASTERBOT_CACHE" {
					return cache
				}
				return os.Getenv(name)
			}}
			code := run(context.Background(), e, []string{
				"plan", "--repo", repo, "--config", config, "--nixpkgs", filepath.Join(set, "corepkgs"), "--base", tc.commit + "^", "--head", tc.commit, "--json",
			})
			require.Zero(t, code, "%s", errs.String())
			plan, err := report.DecodePlan(&out)
			require.NoError(t, err)
			assert.Equal(t, tc.scope, plan.Scope)
			assert.Equal(t, tc.kernel, plan.Kernel.Status)
			got := map[string]bool{}
			for _, a := range slices.Concat(plan.Packages, plan.Images) {
				if a.Status == distro.StatusEvalStillFailing {
					continue
				}
				got[a.Attr] = true
				want, ok := tc.want[a.Attr]
				if !assert.True(t, ok, "%s is affected: %s", a.Attr, a.Status) {
					continue
				}
				assert.Equal(t, want[0], string(a.Status), a.Attr)
				files := []string{}
				for _, c := range a.Causes {
					files = append(files, c.File)
				}
				assert.Contains(t, files, want[1], fmt.Sprint(a.Attr))
			}
			for name := range tc.want {
				assert.True(t, got[name], "%s is not affected", name)
			}
		})
	}
}
