{ lib, stdenv }:
stdenv.mkDerivation {
  name = "guest-init";
  src = ./init.c;
  dontUnpack = true;
  buildPhase = "cc -Os -Wall -static -o init $src";
  installPhase = "install -D init $out/init";
  postFixup = "strip $out/init";
  meta.description = "The first process of a guest";
}
