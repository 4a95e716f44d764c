{ lib, stdenv, fetchDebianSource }:
let
  source = fetchDebianSource "mini-httpd";
in
stdenv.mkDerivation {
  pname = "mini-httpd";
  inherit (source) version src;
  makeFlags = [ "CDEFS=-DHAVE_INT64T" "BINDIR=${placeholder "out"}/bin" "MANDIR=${placeholder "out"}/share/man" ];
  preInstall = "mkdir -p $out/bin $out/share/man/man1 $out/share/man/man8";
  meta = {
    description = "A small web server";
    mainProgram = "mini_httpd";
    license = lib.licenses.bsd2;
  };
}
