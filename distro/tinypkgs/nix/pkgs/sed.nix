{ lib, stdenv, fetchDebianSource }:
let
  source = fetchDebianSource "sed";
  configureFlags = [ "--disable-nls" "--disable-dependency-tracking" "--without-selinux" "--disable-acl" ];
in
stdenv.mkDerivation {
  pname = "sed";
  inherit (source) version src;
  inherit configureFlags;
  configureCache = stdenv.configureCache {
    name = "sed";
    inherit (source) src;
    inherit configureFlags;
  };
  enableParallelBuilding = true;
  meta = {
    description = "The stream editor";
    mainProgram = "sed";
    license = lib.licenses.gpl3Plus;
  };
}
