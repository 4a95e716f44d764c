# The installation medium: stock NixOS, with the installer for AsterNixOS, which starts by itself on hvc0.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos.installer;
  installer = pkgs.writeShellScriptBin "asternixos-install" ''
    export PATH=${
      lib.makeBinPath [
        pkgs.util-linux
        pkgs.dosfstools
        pkgs.e2fsprogs
        pkgs.coreutils
        pkgs.gnugrep
        pkgs.gawk
        config.system.build.nixos-install
      ]
    }:$PATH
    export installer_system=${cfg.system} installer_configuration=${../.}
    . ${./install.sh}
  '';
in
{
  options.asternixos.installer.system = lib.mkOption {
    type = lib.types.package;
    description = "The system that is installed.";
  };

  config = {
    environment.systemPackages = [ installer ];
    isoImage.storeContents = [ cfg.system ];
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
