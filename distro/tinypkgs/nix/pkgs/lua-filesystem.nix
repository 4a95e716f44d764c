{ lib, stdenv, fetchDebianSource, lua }:
let
  source = fetchDebianSource "lua-filesystem";
in
stdenv.mkDerivation {
  pname = "lua-filesystem";
  inherit (source) version src;
  buildInputs = [ lua ];
  makeFlags = [ "CC=cc" "LUA_INC=-I${lua}/include" "LUA_VERSION=5.4" "DESTDIR=${placeholder "out"}" "LUA_LIBDIR=/lib/lua/5.4" ];
  meta = {
    description = "File systems for Lua";
    license = lib.licenses.mit;
  };
}
