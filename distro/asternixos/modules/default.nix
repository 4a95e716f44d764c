# The modules of AsterNixOS: import this, and the system is one.
{
  imports = [
    ./options.nix
    ./core.nix
    ./services.nix
    ./desktop.nix
    ./containers.nix
  ];
}
