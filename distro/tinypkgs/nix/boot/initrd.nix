# makeInitrd { name; packages; modules; ... }: an initramfs with the closure of packages, a static busybox, and an
# init that gives a shell prompt on the console.
#
#   modules  a folder of kernel modules (lib/modules/VERSION or VERSION), or null
#   load     the modules to load, by name; what they depend on comes along
#   rc       a shell script that runs before the prompt
#   files    target = source: further files
{ lib, stdenv, busybox, fromDebian, guest-init, closureInfo, toolchain }:
let
  dash = fromDebian {
    package = "dash";
    programs = [ "dash" ];
  };
in
{
  name ? "initrd",
  packages ? [ ],
  modules ? null,
  load ? [ "virtio_pci" "virtio_console" "virtio_blk" "virtio_net" "virtio_rng" "af_packet" "ext4" ],
  rc ? "",
  files ? { },
  # root: leave a folder, to be put on a disk, instead of an archive.
  root ? false,
}:
stdenv.mkDerivation {
  inherit name packages load rc toolchain busybox dash;
  modules = lib.optionalString (modules != null) "${modules}";
  init = guest-init;
  closure = closureInfo { rootPaths = packages ++ [ busybox dash ] ++ builtins.attrValues files; };
  targets = builtins.attrNames files;
  sources = builtins.attrValues files;
  form = if root then "folder" else "archive";
  passAsFile = [ "rc" ];
  buildCommand = ''
    source ${./initrd.sh}
  '';
}
