# The modules of AsterNixOS: import this, and the system is one.
{ lib, ... }:
{
  nixpkgs.overlays = lib.mkBefore (map (o: o.overlay) (import ../overlays));

  imports = [
    ./options.nix
    ./core.nix
    ./services.nix
    ./desktop.nix
    ./containers.nix
  ];
}
