# What an installer needs to partition a disk and to make file systems on it.
{ fromDebian, symlinkJoin }:
symlinkJoin {
  name = "disktools";
  paths = [
    (fromDebian { package = "fdisk"; programs = [ "sfdisk" ]; })
    (fromDebian { package = "e2fsprogs"; programs = [ "mke2fs" ]; files = [ "etc/mke2fs.conf" ]; })
    (fromDebian { package = "dosfstools"; programs = [ "mkfs.fat" ]; })
  ];
}
