# Written by 'bot init': what this repository promises, for asterbot.
#
# packages are the attributes that must evaluate, build and work; images are installers, which are installed
# onto a blank disk and booted; suites are systems that are booted, with the tests that run in them.
{
  nixpkgs ? null, # the package set to use; null is <nixpkgs>
  kernel ? null, # the kernel under test, or the control; null is the entry's own
  system ? "x86_64-linux",
  ...
}:
let
  overlays = [
{{- range .Overlays}}
    (import ../{{.}})
{{- end}}
  ];
  pkgs = import (if nixpkgs != null then nixpkgs else <nixpkgs>) { inherit system overlays; };

  # Every package that an overlay defines is promised, also one that throws: that is a failure to be told. Functions
  # and sets are left out. Better still is to name the packages one by one: a list that evaluates nothing cannot fail.
  names = builtins.concatMap (overlay: builtins.attrNames (overlay pkgs pkgs)) overlays;
  isPackage = name: let is = builtins.tryEval (pkgs.${name}.type or "" == "derivation"); in !is.success || is.value;
in
{
  packages = builtins.listToAttrs (map (name: { inherit name; value = pkgs.${name}; }) (builtins.filter isPackage names));

  # images.iso = ...;                 an installer, as a derivation
  images = { };

  # suites.smoke = {                  a bootable system, and what to run in it
  #   system = ...;
  #   cases = [ { name = "hello greets"; run = "hello"; expect = "Hello"; } ];
  # };
  suites = { };
}
