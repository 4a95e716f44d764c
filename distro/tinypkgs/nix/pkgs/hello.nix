{ lib, stdenv, fetchDebianSource }:
let
  source = fetchDebianSource "hello";
  configureFlags = [ "--disable-nls" "--disable-dependency-tracking" ];
in
stdenv.mkDerivation {
  pname = "hello";
  inherit (source) version src;
  inherit configureFlags;
  configureCache = stdenv.configureCache {
    name = "hello";
    inherit (source) src;
    inherit configureFlags;
  };
  enableParallelBuilding = true;
  meta = {
    description = "A program that greets";
    mainProgram = "hello";
    license = lib.licenses.gpl3Plus;
    platforms = lib.platforms.all;
  };
}
