# The overlays of asterinas/asterinas, wherever its history has kept them, its installer and its ISO.
{ repo, nixpkgs, system, kernel ? null, ... }:
let
  inherit (builtins) attrNames attrValues filter isAttrs listToAttrs mapAttrs pathExists readDir;
  first = places: let there = filter pathExists (map (p: repo + "/distro/${p}") places); in if there == [ ] then null else builtins.head there;
  folder = first [ "etc_nixos/overlays" "overlays" ];
  # What an overlay changes and the package set lacks is unavailable, not broken.
  lacking = name: let gone = { unavailable = "the package set has no ${name}"; overrideAttrs = _: gone; override = _: gone; }; in gone;
  tolerant = overlay: final: prev: overlay final (mapAttrs (name: _: lacking name) (overlay final prev) // prev);
  overlays = if folder == null then [ ] else map (n: import (folder + "/${n}"))
    (filter (n: pathExists (folder + "/${n}/default.nix")) (attrNames (readDir folder)));
  set = with_: import nixpkgs { inherit system; overlays = with_; config = { }; };
  plain = set [ ];
  pkgs = set (map tolerant overlays);
  # An overlay sets packages, or packages in a set such as xorg: there, those whose place is in the repository.
  own = set: filter (n: let at = builtins.unsafeGetAttrPos n set; in at != null && builtins.substring 0 (builtins.stringLength (toString repo)) at.file == toString repo) (attrNames set);
  isSet = v: isAttrs v && v.type or "" != "derivation";
  named = name: # Listing must not evaluate a package: one that fails would take the others with it.
    if isSet (plain.${name} or null) then map (n: { name = "${name}.${n}"; value = pkgs.${name}.${n}; }) (own pkgs.${name})
    else [ { inherit name; value = pkgs.${name}; } ];
  # What an overlay changes, and what one has ever changed: known before the overlay came.
  names = attrNames (builtins.foldl' (all: o: all // o pkgs pkgs) { podman = 0; runc = 0; systemd = 0; } overlays);
  # The kernel lies where a build leaves it, or is handed in.
  image = if isAttrs kernel && kernel ? image then kernel.image else repo + "/target/osdk/iso_root/boot/asterinas-osdk-bin";
  load = scopedImport { builtins = builtins // { path = a: if builtins.match ".*/target/.*" (toString a.path) != null then "${image}" else builtins.path a; }; };
  installer = first [ "aster_nixos_installer/default.nix" ];
  iso = first [ "iso_image/default.nix" ];
in {
  inherit pkgs;
  packages = listToAttrs (builtins.concatMap named names);
  images = (if installer == null then { } else { installer = load installer { inherit pkgs; }; })
    // (if iso == null then { } else { iso = if pkgs.nixos or null != null then load iso { inherit pkgs; } else { unavailable = "the package set has no NixOS modules"; }; });
  suites = { };
}
