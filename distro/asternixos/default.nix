# AsterNixOS: the packages, images and suites it promises.
#
#   import distro/asternixos { kernel = { image = ./asterinas; profile = "asterinas"; }; }
#
# kernel   what to boot: null for the package set's own Linux, an image, or { image; params; modules; profile; ... }
# nixpkgs  the package set's folder: null for the pinned nixpkgs (./pin.json). tinypkgs may be given too: then
#          what it lacks is `unavailable`, and the suites run on a Debian root instead of on NixOS
# release  the version that systems and images carry, where this is one
{
  kernel ? null,
  system ? "x86_64-linux",
  nixpkgs ? null,
  release ? null,
}:
let
  overlays = import ./overlays;
  set = import (if nixpkgs != null then nixpkgs else import ./pinned.nix);
  # Neither the caller's configuration nor overlays of a home directory may take part.
  pkgs = set {
    inherit system;
    config = { };
    overlays = map (o: o.overlay) overlays;
  };
  inherit (pkgs) lib;

  # Which of the two kinds of package sets this is.
  tiny = pkgs ? makeDebianSystem;
  machines = import (if tiny then ./machines/tinypkgs.nix else ./machines/nixos.nix) {
    inherit pkgs lib release;
    kernel = import ./kernel.nix kernel;
  };

  unavailable = {
    unavailable = "not in this package set";
  };

  # "xfce.xfwm4" -> the package, or why there is none. A package that is there and does not
  # evaluate stays an error.
  find =
    path:
    let
      found = lib.attrByPath (lib.splitString "." path) null pkgs;
    in
    if found != null then found else machines.substitute path unavailable;

  suites = import ./suites;
  promised = lib.unique (
    lib.concatMap (o: o.packages) overlays
    ++ lib.concatMap (s: s.packages) (builtins.attrValues suites)
  );
in
{
  # The last part of a path names a package: nobody thinks of xfwm4 as xfce.xfwm4.
  packages = builtins.listToAttrs (
    map (path: {
      name = lib.last (lib.splitString "." path);
      value = find path;
    }) promised
  );

  images.iso = machines.iso;

  suites = lib.mapAttrs (name: suite: machines.suite name (removeAttrs suite [ "description" ])) suites // machines.suites;
}
// lib.optionalAttrs (machines ? kernel) { inherit (machines) kernel; }
