# The initramfs of AsterNixOS: mounts the root file system and hands over to NixOS.
#
# Its arguments are what follows "--" on the kernel's command line: root=, init=, rd.break=.
bb=@busybox@
root= init= stop=
for argument in "$@"; do
	case $argument in
	root=*) root=${argument#root=} ;;
	init=*) init=${argument#init=} ;;
	rd.break=*) stop=${argument#rd.break=} ;;
	esac
done

$bb mkdir -p /proc /sys /dev /sysroot
$bb mount -t proc none /proc
$bb mount -t sysfs none /sys 2>/dev/null
[ -c /dev/null ] || $bb mount -t devtmpfs none /dev

# Linux, as the control, needs its drivers; Asterinas has them.
if [ -d /lib/modules ]; then
	for module in virtio_pci virtio_blk virtio_console ext4; do
		$bb modprobe $module 2>/dev/null
	done
fi

if [ "$stop" = 1 ]; then
	echo "initramfs: asternixos.initramfs.shell is set; 'exit' goes on"
	$bb ash
fi
if [ -z "$root" ] || [ -z "$init" ]; then
	echo "initramfs: root= and init= are needed after -- on the command line, there are: $*"
	exec $bb ash
fi

tries=0
until $bb mount -t ext2 "$root" /sysroot 2>/dev/null || $bb mount -t ext4 "$root" /sysroot 2>/dev/null; do
	tries=$((tries + 1))
	if [ $tries -ge 50 ]; then
		echo "initramfs: $root does not come up, or is not ext2"
		exec $bb ash
	fi
	$bb sleep 0.2
done
for d in dev proc sys; do
	$bb mkdir -p /sysroot/$d
	$bb mount --move /$d /sysroot/$d 2>/dev/null
done
exec $bb switch_root /sysroot "$init"
