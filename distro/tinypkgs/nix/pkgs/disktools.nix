# What an installer needs to partition a disk and to make file systems on it.
{ fromDebian }:
fromDebian {
  name = "disktools";
  package = [ "fdisk" "e2fsprogs" "dosfstools" ];
  programs = [ "sfdisk" "mke2fs" "mkfs.fat" ];
}
