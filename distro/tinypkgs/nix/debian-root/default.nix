# debianRoot: a whole Debian userland as a disk image, assembled in the sandbox.
#
# The packages of ./lock (fetched into the store by ./fetch, found here by hash) are
# unpacked side by side; nothing of them is run but mke2fs and debugfs, so no maintainer
# script takes effect: ./assemble.sh does what is needed of them. For breadth:
# real interpreters, compilers, databases and servers, on any kernel.
{
  lib,
  debian,
  system,
}:
let
  busybox = (debian.package "busybox-static").path;

  packages = map (
    line:
    let
      fields = lib.splitString " " line;
      field = builtins.elemAt fields;
    in
    {
      name = field 0;
      deb = derivation {
        # The name under which ./fetch adds it; Nix takes neither colons nor tildes.
        name = "${field 0}_${builtins.replaceStrings [ ":" "~" ] [ "." "-" ] (field 1)}_${field 2}.deb";
        inherit system;
        # Fixed by its hash and in the store already; where it is not, this is the message.
        builder = "/not imported into this store: run 'make setup-test'";
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = field 3;
      }
      // {
        pname = field 0;
        version = field 1;
      };
    }
  ) (builtins.filter (l: l != "" && !(lib.hasPrefix "#" l)) (lib.splitString "\n" (builtins.readFile ./lock)));
in
derivation {
  name = "debian-root";
  inherit system;
  builder = "${busybox}/usr/bin/busybox";
  args = [
    "sh"
    "-e"
    ./assemble.sh
  ];
  busybox = "${busybox}/usr/bin/busybox";
  debs = map (p: p.deb) packages;
}
// {
  pname = "debian-root";
  version = "12";
  # name -> the Debian package, of all that is inside.
  packages = builtins.listToAttrs (map (p: lib.nameValuePair p.name p.deb) packages);
  meta.description = "Debian's own interpreters, compilers, databases and servers on an ext2 disk";
}
