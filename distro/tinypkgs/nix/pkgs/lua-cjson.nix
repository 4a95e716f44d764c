{ lib, stdenv, fetchDebianSource, lua }:
let
  source = fetchDebianSource "lua-cjson";
in
stdenv.mkDerivation {
  pname = "lua-cjson";
  inherit (source) version src;
  buildInputs = [ lua ];
  makeFlags = [ "CC=cc" "CFLAGS=-O1" "PREFIX=${placeholder "out"}" "LUA_INCLUDE_DIR=${lua}/include" "LUA_VERSION=5.4" ];
  meta = {
    description = "JSON for Lua";
    license = lib.licenses.mit;
  };
}
