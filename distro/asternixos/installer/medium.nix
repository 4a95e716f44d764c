# The installation medium: stock NixOS, with the installer for AsterNixOS, which starts by itself on hvc0.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos.installer;
  # Of the kernel, what there is: none of it where NixOS's own Linux is installed, as a control.
  parts = lib.filter (part: cfg.kernel.${part} != null) [
    "image"
    "modules"
  ];

  # What becomes /etc/nixos: the configuration, what it imports, and what the installer knows of the machine.
  etc = pkgs.runCommand "asternixos-etc" { } (
    ''
      mkdir $out
      cp ${../configuration.nix} $out/configuration.nix
      cp -r ${../modules} $out/modules
      cp -r ${../overlays} $out/overlays
    ''
    + lib.concatMapStrings (part: "mkdir -p $out/kernel && cp -r ${cfg.kernel.${part}} $out/kernel/${part}\n") parts
    + ''
      cat > $out/machine.nix <<'NIX'
      # What is particular to this machine, written by the installer.
      {
        asternixos.kernel = {
          profile = "${cfg.kernel.profile}";
          ${lib.concatMapStringsSep " " (part: "${part} = ./kernel/${part};") parts}
          params = [ ${lib.concatMapStringsSep " " (p: "\"${lib.escape [ "\"" "\\" "$" ] p}\"") cfg.kernel.params} ];
        };
        asternixos.rootDevice = "@rootDevice@";
      }
      NIX
    ''
  );

  installer = pkgs.writeShellScriptBin "asternixos-install" ''
    export PATH=${
      lib.makeBinPath [
        pkgs.util-linux
        pkgs.dosfstools
        pkgs.e2fsprogs
        pkgs.coreutils
        pkgs.gnugrep
        pkgs.gnused
        pkgs.gawk
        config.system.build.nixos-install
      ]
    }:$PATH
    export installer_system=${cfg.toplevel} installer_root=${cfg.rootDevice} installer_configuration=${etc}
    . ${./install.sh}
  '';
in
{
  options.asternixos.installer = {
    toplevel = lib.mkOption {
      type = lib.types.package;
      description = "The system that is installed, where the disk is called as it expects.";
    };
    rootDevice = lib.mkOption {
      type = lib.types.str;
      description = "The root partition that this system mounts.";
    };
    kernel = lib.mkOption {
      type = lib.types.attrsOf lib.types.unspecified;
      description = "Its asternixos.kernel.";
    };
  };

  config = {
    environment.systemPackages = [ installer ];
    # The etc derivation too: another disk has the system built on the spot.
    isoImage.storeContents = [ cfg.toplevel etc ];
    services.getty.autologinUser = lib.mkForce "root";
    # Only on the virtio console, which a person does not sit at.
    environment.loginShellInit = ''
      if [ "$(tty)" = /dev/hvc0 ]; then
        ${lib.getExe installer} --unattended
      fi
    '';
    system.nixos.distroName = "Asterinas NixOS";
  };
}
