//go:build upstream

package asternixos_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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

// onNixOS evaluates an expression in which entry and asterinas are AsterNixOS under NixOS's own modules, and conf is
// configuration.nix with a further module as a user's machine evaluates it: on a package set without the overlays.
// What corepkgs lacks is a stub: testdata/nixos-set.nix.
func onNixOS(t *testing.T, expr string, into any) (stderr string, err error) {
	t.Helper()
	core, nixos := os.Getenv("ASTERBOT_COREPKGS"), os.Getenv("ASTERBOT_NIXOS")
	if core == "" || nixos == "" {
		t.Skip("needs NixOS's modules: set ASTERBOT_NIXOS to a folder with nixpkgs' nixos/, and ASTERBOT_COREPKGS")
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(nixos, "nixos"), filepath.Join(dir, "nixos")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "default.nix"),
		[]byte("args: import "+here(t)+"/testdata/nixos-set.nix ({ corepkgs = "+core+"; folder = "+dir+"; } // args)"), 0o644))
	prelude := `let
	  entry = import ` + here(t) + ` { nixpkgs = ` + dir + `; };
	  asterinas = import ` + here(t) + ` { nixpkgs = ` + dir + `; kernel = { image = ` + here(t) + `/pin.json; profile = "asterinas"; params = [ "quiet" ]; }; };
	  pkgs = import ` + dir + ` { };
	  nixos = more: pkgs.nixos { imports = [ ` + here(t) + `/configuration.nix more ]; };
	  conf = more: (nixos more).config;
	  image = { asternixos.kernel.image = ` + here(t) + `/pin.json; };
	  inherit (pkgs) lib; in `
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "nix-instantiate", "--readonly-mode", "--eval", "--strict", "--json", "--expr", prelude+expr)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return errs.String(), err
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), into))
	return errs.String(), nil
}

// Everything the entry offers on nixpkgs evaluates under NixOS's own modules: the systems of the suites, and the installation medium.
func TestOnNixOSModulesUpstream(t *testing.T) {
	for _, attr := range []string{
		"entry.suites.base.system", "entry.suites.nixos.system", "asterinas.suites.base.system",
		"asterinas.suites.nixos.system", "asterinas.suites.desktop.system", "entry.images.iso", "asterinas.images.iso",
	} {
		t.Run(attr, func(t *testing.T) {
			var drv string
			stderr, err := onNixOS(t, attr+".drvPath", &drv)
			require.NoError(t, err, stderr)
			assert.Contains(t, drv, ".drv")
		})
	}
}

// What NixOS makes of configuration.nix.
func TestConfigurationOnNixOSUpstream(t *testing.T) {
	var got struct {
		Kernel, Initrd, Bootspec, Modprobe, GRUB, SystemdBoot, Udev, Firewall, DHCP bool
		Systemd                                                                     string
		Off                                                                         []string
		Resolv                                                                      string
		Toplevel                                                                    string
		Runc, RuncOfEntry                                                           []string
	}
	stderr, err := onNixOS(t, `let c = conf image; in {
	  kernel = c.boot.kernel.enable;
	  initrd = c.boot.initrd.enable;
	  bootspec = c.boot.bootspec.enable;
	  modprobe = c.boot.modprobeConfig.enable;
	  grub = c.boot.loader.grub.enable;
	  systemdBoot = c.boot.loader.systemd-boot.enable;
	  udev = c.services.udev.enable;
	  firewall = c.networking.firewall.enable;
	  dhcp = c.networking.useDHCP;
	  systemd = c.systemd.package.pname;
	  off = lib.attrNames (lib.filterAttrs (_: s: !s.enable) (lib.getAttrs (lib.attrNames c.asternixos.services.disabled) c.systemd.services));
	  resolv = c.environment.etc."resolv.conf".text;
	  toplevel = c.system.build.toplevel.drvPath;
	  runc = map baseNameOf (nixos image).pkgs.runc.patches;
	  runcOfEntry = map baseNameOf entry.packages.runc.patches;
	}`, &got)
	require.NoError(t, err, stderr)
	assert.False(t, got.Kernel || got.Initrd || got.Bootspec || got.Modprobe || got.GRUB || got.Udev || got.Firewall || got.DHCP, "%+v", got)
	assert.True(t, got.SystemdBoot)
	assert.Contains(t, got.Systemd, "systemd-minimal")
	assert.Contains(t, got.Off, "systemd-oomd")
	assert.Equal(t, "nameserver 10.0.2.3\n", got.Resolv)
	assert.Contains(t, got.Toplevel, ".drv")
	// The modules apply the overlays where nobody did, and each patch once.
	assert.Equal(t, got.RuncOfEntry, got.Runc)
}

// A user's mistakes, told by NixOS and by the modules' own assertions.
func TestWrongConfigurationsOnNixOSUpstream(t *testing.T) {
	tests := []struct{ name, config, says string }{
		{"a Linux module for an Asterinas kernel", `boot.kernelModules = [ "kvm" ];`, "boot.kernelModules names kvm, but Asterinas loads no Linux kernel modules. Remove it from "},
		{"no initramfs for systemd-boot", `asternixos.initramfs.enable = false;`, "boot.loader.systemd-boot is enabled, and NixOS installs it only for systems with an initramfs"},
		{"a root that is not ext2", `fileSystems."/".fsType = "btrfs";`, "Asterinas mounts its root from ext2"},
		{"an unknown option", `asternixos.loglevel = "error";`, "asternixos.loglevel' does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got any
			stderr, err := onNixOS(t, `(conf { imports = [ image { `+tt.config+` } ]; }).system.build.toplevel.drvPath`, &got)
			require.Error(t, err, "it evaluates: %v", got)
			assert.Contains(t, stderr, tt.says)
		})
	}
}
