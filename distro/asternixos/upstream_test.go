//go:build upstream

package asternixos_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same modules give the same configuration under nixpkgs' own module system.
func TestModulesUpstream(t *testing.T) {
	lib := os.Getenv("ASTERBOT_NIX_LIB")
	if lib == "" {
		t.Skip("needs nixpkgs' library: set ASTERBOT_NIX_LIB to a checkout of it")
	}
	var got struct{ Ours, Theirs any }
	stderr, err := eval(t, `
	  let
	    theirs = import `+lib+`;
	    modules = [ `+set(t)+`/nixos/assertions.nix `+set(t)+`/nixos/accepted.nix `+set(t)+`/nixos/etc.nix `+set(t)+`/nixos/system.nix
	      ./configuration.nix ./machines/tinypkgs-system.nix { boot.kernelParams = lib.mkForce [ "a" ]; } ];
	    show = config: {
	      inherit (config) asternixos systemd services nix fileSystems virtualisation networking warnings;
	      boot = removeAttrs config.boot [ "initrd" ];
	      etc = lib.mapAttrs (_: e: { inherit (e) text target enable; source = "${e.source}"; }) config.environment.etc;
	      variables = config.environment.sessionVariables;
	      packages = map (p: p.name) config.environment.systemPackages;
	      script = config.system.boot.script;
	    };
	  in {
	    ours = show (lib.evalModules { inherit modules; specialArgs = { inherit pkgs lib; }; }).config;
	    theirs = show (theirs.evalModules { inherit modules; specialArgs = { inherit pkgs; lib = theirs; }; }).config;
	  }`, &got)
	require.NoError(t, err, stderr)
	require.NotEmpty(t, got.Ours)
	assert.Equal(t, got.Theirs, got.Ours)
}

// The overlays evaluate on a package set of nixpkgs' size and making.
func TestOverlaysOnCorepkgs(t *testing.T) {
	core := os.Getenv("ASTERBOT_COREPKGS")
	if core == "" {
		t.Skip("needs corepkgs: set ASTERBOT_COREPKGS to a checkout whose pins.nix names a local library")
	}
	for _, attr := range []string{"podman", "runc", "asternixos-systemd", "switch-to-configuration-ng", "hello-asterinas"} {
		t.Run(attr, func(t *testing.T) {
			expr := `(import ` + core + ` { system = "x86_64-linux"; overlays = map (o: o.overlay) (import ` + here(t) + `/overlays); }).` + attr + `.drvPath`
			out, err := exec.CommandContext(t.Context(), "nix-instantiate", "--readonly-mode", "--eval", "--json", "--expr", expr).CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Contains(t, string(out), ".drv")
		})
	}
}
