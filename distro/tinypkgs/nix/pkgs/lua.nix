{ lib, stdenv, fetchDebianSource }:
let
  source = fetchDebianSource "lua5.4";
in
stdenv.mkDerivation {
  pname = "lua";
  inherit (source) version src;
  makeFlags = [ "PLAT=linux" "CC=cc" "INSTALL_TOP=${placeholder "out"}" "MYCFLAGS=-O1" ];
  enableParallelBuilding = true;
  # Where require finds the packages that are beside this one in a guest.
  postPatch = ''
    substituteInPlace src/luaconf.h --replace-fail '#define LUA_ROOT	"/usr/local/"' '#define LUA_ROOT	"/"'
  '';
  meta = {
    description = "A small language to extend programs with";
    mainProgram = "lua";
    license = lib.licenses.mit;
  };
}
