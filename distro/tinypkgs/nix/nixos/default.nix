# pkgs.nixos, as nixpkgs has it: a configuration becomes a system.
#
#   (pkgs.nixos ./configuration.nix).config.system.build.toplevel
#
# Options have NixOS's names. What this small system does not do (systemd units, say) is
# accepted, so that a configuration can be shared with NixOS, and listed in
# `system.unsupported`; what no NixOS has either is an error as everywhere.
{ pkgs, configuration }:
pkgs.lib.evalModules {
  specialArgs = {
    inherit pkgs;
    inherit (pkgs) lib;
    modulesPath = toString ./.;
  };
  modules = [
    ./assertions.nix
    ./accepted.nix
    ./etc.nix
    ./system.nix
    configuration
  ];
}
