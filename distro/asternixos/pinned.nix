# nixpkgs as ./pin.json pins it; needs a network the first time.
let
  pin = builtins.fromJSON (builtins.readFile ./pin.json);
in
builtins.fetchTarball {
  name = "nixpkgs-${pin.rev}";
  url = "https://github.com/${pin.owner}/${pin.repo}/archive/${pin.rev}.tar.gz";
  inherit (pin) sha256;
}
