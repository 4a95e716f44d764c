# tinypkgs: a package set with nixpkgs' interface, small enough to read in one sitting.
#
#   import <tinypkgs> { overlays = [ (final: prev: { hello = prev.hello.overrideAttrs (old: { ... }); }) ]; }
#
# Everything is built in Nix's sandbox from Debian packages that the set-up imported into the
# store by content (host.nix names them); there is no network and nothing of the host is visible.
{
  system ? "x86_64-linux",
  overlays ? [ ],
  config ? { },
  host ? import ./host.nix,
}:
let
  lib = import ./lib;
  packages = import ./packages.nix { inherit lib host system config; };
in
lib.fix (lib.foldl' (lib.flip lib.extends) packages overlays)
