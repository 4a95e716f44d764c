# An AsterNixOS system. Edit this file to define what is installed and how it is set up,
# then run `nixos-rebuild boot` and restart.
{ config, pkgs, lib, ... }:
{
  # AsterNixOS, and what the installer found out about this machine. Do not edit these.
  imports = [
    ./modules
    ./machine.nix
  ];

  networking.hostName = "asterinas";

  # Programs for everyone; https://search.nixos.org has more.
  environment.systemPackages = with pkgs; [
    hello-asterinas
  ];

  # asternixos.desktop.enable = true;
  # asternixos.containers.enable = true;
  asternixos.logLevel = "error";

  # The release this machine began with; it stays when the system is upgraded.
  system.stateVersion = "25.05";
}
