# The suites of AsterNixOS: cases as data, by area. One file each; what a case runs finds its
# programs in PATH, so the same cases run on NixOS and on a Debian root.
builtins.listToAttrs (
  map (name: { inherit name; value = import (./. + "/${name}.nix"); }) [
    "base"
    "containers"
    "databases"
    "desktop"
    "languages"
    "networking"
    "nix-tools"
    "nixos"
    "web"
  ]
)
