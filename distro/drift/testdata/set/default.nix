# A package set as small as one can be: fixed point, overlays, overrideAttrs.
{
  overlays ? [ ],
  ...
}:
let
  make =
    args:
    derivation (
      {
        system = "x86_64-linux";
        builder = "/bin/sh";
        name = "${args.pname}-${args.version}";
        src = ./src;
        patches = [ ];
      }
      // args
    )
    // {
      inherit (args) pname version;
      src = args.src or ./src;
      patches = args.patches or [ ];
      overrideAttrs = f: make (args // f args);
    };
  base = builtins.listToAttrs (
    map (n: { name = n; value = make { pname = n; version = "2.0"; }; }) [
      "applies"
      "behind"
      "fails"
      "gone-upstream"
      "nothing"
      "shifted"
    ]
  )
  // {
    nested = {
      inner = make { pname = "inner"; version = "2.0"; };
    };
    no-source = make {
      pname = "no-source";
      version = "2.0";
      src = "/no/such/source";
    };
  };
  extend = pkgs: overlay: final: let prev = pkgs final; in prev // overlay final prev;
  fix = f: let x = f x; in x;
in
fix (builtins.foldl' extend (_: base) overlays)
