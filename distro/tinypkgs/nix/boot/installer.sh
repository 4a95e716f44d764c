# Installs /payload on a blank disk, then powers off. Runs in the installer's initramfs, as /bin/sh.
disk=/dev/vda

# say TEXT: on both consoles, because whoever watches may watch either.
say() {
  for console in /dev/hvc0 /dev/ttyS0; do
    if [ -c $console ]; then echo "installer: $*" >$console; fi
  done
}

# A failure is said, and the machine powers off all the same: what was not said did not happen.
failed() {
  say "FAILED: $*"
  sync
  poweroff -f
}

say "start"
[ -b $disk ] || failed "there is no disk $disk"
say "about to format $disk"
sfdisk --quiet --wipe always $disk </partitions || failed "partitioning $disk"
say "partitioned"
mkfs.fat -F 32 -n BOOT ${disk}1 >/dev/null || failed "making the boot file system"
# The plainest ext2: Asterinas mounts it too.
mke2fs -q -F -t ext2 -b 4096 -I 128 -L root ${disk}2 || failed "making the root file system"
say "file systems made"
mkdir -p /mnt/root /mnt/boot
mount -t ext2 ${disk}2 /mnt/root || failed "mounting the root file system"
tar -xf /payload/root.tar -C /mnt/root || failed "copying the system"
say "system copied"
mount -t vfat ${disk}1 /mnt/boot || failed "mounting the boot file system"
cp -r /payload/esp/. /mnt/boot/ || failed "installing the boot loader"
say "boot loader installed"
umount /mnt/boot && umount /mnt/root || failed "unmounting"
sync
say "finished: $name is on $disk"
poweroff -f
