{ lib, stdenv, fetchDebianSource, lua }:
let
  source = fetchDebianSource "lua-lpeg";
in
stdenv.mkDerivation {
  pname = "lua-lpeg";
  inherit (source) version src;
  buildInputs = [ lua ];
  makeFlags = [ "CC=cc" "LUADIR=${lua}/include" ];
  buildFlags = [ "linux" ];
  installPhase = ''
    install -D -m 755 lpeg.so "$out/lib/lua/5.4/lpeg.so"
    install -D -m 644 re.lua "$out/share/lua/5.4/re.lua"
  '';
  meta = {
    description = "Parsing expression grammars for Lua";
    license = lib.licenses.mit;
  };
}
