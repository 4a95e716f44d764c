# Debian's static busybox: the guests' userland, and the builder of what needs no more.
{ debian, lib, system }:
let
  imported = debian.package "busybox-static";
in
derivation {
  name = "busybox-${debian.version "busybox-static"}";
  inherit system;
  builder = "${imported.path}/usr/bin/busybox";
  args = [ "sh" "-c" ''$busybox mkdir -p $out/bin && $busybox cp $busybox $out/bin/busybox'' ];
  busybox = "${imported.path}/usr/bin/busybox";
}
// {
  inherit (imported) version;
  pname = "busybox";
  meta = { description = "Debian's static busybox"; };
}
