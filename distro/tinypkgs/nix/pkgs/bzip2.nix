{ lib, stdenv, fetchDebianSource }:
let
  source = fetchDebianSource "bzip2";
in
stdenv.mkDerivation {
  pname = "bzip2";
  inherit (source) version src;
  makeFlags = [ "CC=cc" "CFLAGS=-O1" "PREFIX=${placeholder "out"}" ];
  # The default target also runs a test that takes longer than compiling.
  buildFlags = [ "bzip2" "bzip2recover" "libbz2.a" ];
  enableParallelBuilding = true;
  meta = {
    description = "A block-sorting compressor";
    mainProgram = "bzip2";
    license = lib.licenses.bsdOriginal;
  };
}
