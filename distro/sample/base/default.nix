# The Nix entry: what this distribution promises.
{
  nixpkgs ? null,
  kernel ? null,
  system ? "x86_64-linux",
  ...
}:
let
  pkgs = import (if nixpkgs != null then nixpkgs else <nixpkgs>) {
    inherit system;
    overlays = import ./overlays;
  };
  own = import ./kernel { inherit pkgs; };
  underTest = if kernel == null then own else kernel;
  suite = file: import file { inherit pkgs; kernel = underTest; };
in
{
  kernel = own;

  packages = {
    inherit (pkgs)
      bzip2
      hello
      lua
      lua-cjson
      lua-filesystem
      mini-httpd
      motd
      sed
      ;
  };

  images.iso = import ./installer { inherit pkgs; kernel = underTest; };

  suites = {
    lua = suite ./suites/lua.nix;
    machines = suite ./suites/machines.nix;
    network = suite ./suites/network.nix;
    text = suite ./suites/text.nix;
  };
}
