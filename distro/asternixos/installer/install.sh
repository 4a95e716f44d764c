# Installs AsterNixOS on a disk: asks which, makes a boot and a root partition, copies the system.
#
#   asternixos-install [--disk DEVICE] [--unattended] [--force]
#
# --unattended  asks nothing: takes the only disk there is, says how far it came on every console, and ends
#               the machine: power off when done, a reset when not, so that the end alone tells them apart
# --force       installs also where the disk holds data. It is lost. A disk that is in use is never taken
#
# Sourced without arguments (the ISO of tinypkgs does so) it is unattended; the kernel's parameters
# asternixos.interactive, asternixos.force and asternixos.disk= change that.
#
# Exit status: 0 done, also when it was done before; 2 wrong usage; 3 no disk, none chosen, or one in use; 4 the
# disk holds data; 5 the disk is too small; 6 a step failed. Every failure says "installer: FAILED" first.
#
# A disk counts as holding data unless it is blank or this installer was cut off on it: it writes a mark into the gap
# before the first partition before it changes anything else, and another when it is done. So a second run after
# a power cut at any moment starts over without --force, and one after a success changes nothing.
#
# What it installs: $installer_system, a NixOS system that mounts $installer_root, with nixos-install and
# $installer_configuration as /etc/nixos; where the root partition is called otherwise, the system is built from that
# configuration. Or /payload, a tar of the root file system and the files of the boot partition.
set -u

payload=${installer_payload:-/payload}
mark_offset=1024 # sectors: half a MiB, behind the partition table and before the first partition
target=/mnt/asternixos
disk='' unattended='' force=''

say() {
	echo "installer: $*"
	[ -n "$unattended" ] || return 0
	# Whoever watches may watch another console than this one.
	here=$(readlink -f /proc/self/fd/0 2>/dev/null)
	for console in /dev/hvc0 /dev/ttyS0; do
		if [ -c $console ] && [ "$console" != "$here" ]; then echo "installer: $*" >$console; fi
	done
}

# finish STATUS: ends the script, and unattended the machine.
finish() {
	sync
	if [ -n "$unattended" ]; then
		sleep 1 # the consoles get their last line out
		if [ "$1" = 0 ]; then poweroff -f; else reboot -f; fi
	fi
	exit "$1"
}

failed() {
	status=$1
	shift
	trap '' INT TERM HUP
	say "FAILED: $*"
	umount "$target/boot" 2>/dev/null
	umount "$target" 2>/dev/null
	finish "$status"
}
trap 'failed 6 "interrupted"' INT TERM HUP

parameter() { tr ' ' '\n' </proc/cmdline | sed -n "s/^asternixos\.$1\(=\(.*\)\)\{0,1\}\$/\2yes/p" | tail -n 1; }

if [ $# -eq 0 ] && [ -d "$payload" ]; then
	[ -n "$(parameter interactive)" ] || unattended=yes
	force=$(parameter force)
	disk=$(parameter disk)
	disk=${disk%yes}
fi
while [ $# -gt 0 ]; do
	case $1 in
	--disk)
		[ $# -ge 2 ] || { echo "installer: --disk needs a device" >&2; exit 2; }
		disk=$2
		shift
		;;
	--unattended) unattended=yes ;;
	--force) force=yes ;;
	*)
		echo "usage: asternixos-install [--disk DEVICE] [--unattended] [--force]" >&2
		exit 2
		;;
	esac
	shift
done

# in_use NAME: says what uses a disk or one of its partitions: a mount, swap, or a volume that is made of it.
in_use() {
	for d in "/sys/block/$1" "/sys/block/$1/$1"*; do
		[ -d "$d" ] || continue
		n=${d##*/}
		if grep -q "^/dev/$n " /proc/mounts; then echo "/dev/$n is mounted"; fi
		if grep -q "^/dev/$n[[:space:]]" /proc/swaps 2>/dev/null; then echo "/dev/$n is swap"; fi
		for holder in "$d"/holders/*; do
			if [ -e "$holder" ]; then echo "/dev/$n belongs to ${holder##*/}"; fi
		done
	done
}

# Whole disks that can be written and that nothing uses, so without the one this system runs from.
disks() {
	for d in /sys/block/*; do
		name=${d##*/}
		case $name in loop* | ram* | sr* | fd* | zram* | dm-* | md*) continue ;; esac
		[ "$(cat "$d/ro")" = 0 ] || continue
		[ "$(cat "$d/size")" -gt 0 ] || continue
		[ -z "$(in_use "$name")" ] || continue
		echo "/dev/$name"
	done
}
mib() { echo $(($(cat "/sys/block/${1#/dev/}/size") / 2048)); }
first() { head -c "$2" "$1" | tr -d '\000' | head -c 1 | wc -c; }
mark() { dd if="$disk" bs=512 skip=$mark_offset count=1 2>/dev/null | tr -d '\000'; }
write_mark() { printf '%-512s' "$1" | dd of="$disk" bs=512 seek=$mark_offset conv=notrunc,fsync 2>/dev/null; }
partition() { case $disk in *[0-9]) echo "${disk}p$1" ;; *) echo "$disk$1" ;; esac; }

say "start"
found=$(disks)
if [ -n "$disk" ]; then
	given=$disk
	disk=$(readlink -f "$disk") # as /dev/disk/by-id has them
	[ -b "$disk" ] || failed 3 "there is no disk $given; there are: ${found:-none}"
elif [ -z "$found" ]; then
	failed 3 "there is no disk to install on"
elif [ -n "$unattended" ]; then
	[ "$(echo "$found" | wc -l)" = 1 ] || failed 3 "there is more than one disk, name one with --disk: $(echo $found)"
	disk=$found
else
	echo "Disks:"
	for d in $found; do
		echo "  $d  $(mib "$d") MiB  $(cat "/sys/block/${d#/dev/}/device/model" 2>/dev/null)"
	done
	printf 'Install on which disk? '
	read -r disk || disk=
	[ -n "$disk" ] && [ -b "$disk" ] || failed 3 "no disk was chosen"
	disk=$(readlink -f "$disk")
fi
[ -d "/sys/block/${disk#/dev/}" ] || failed 3 "$disk is not a whole disk; there are: ${found:-none}"
[ "$(cat "/sys/block/${disk#/dev/}/ro")" = 0 ] || failed 3 "$disk cannot be written"
used=$(in_use "${disk#/dev/}")
[ -z "$used" ] || failed 3 "$disk is in use: $(echo "$used" | head -n 1); unmount it first"

if [ -n "${installer_system:-}" ]; then
	name=$(basename "$installer_system")
	needed=$(($(du -sLm $(nix-store -qR "$installer_system") 2>/dev/null | awk '{ s += $1 } END { print s + 0 }') * 5 / 4 + 64))
else
	name="${name:-system} $(md5sum <"$payload/root.tar" | cut -c 1-12)"
	needed=$(($(stat -c %s "$payload/root.tar") / 1048576 * 5 / 4 + 16))
fi
boot_mib=127
[ "$(mib "$disk")" -lt 4096 ] || boot_mib=511

before=$(mark)
case $before in
"asternixos installed $name"*)
	say "checked"
	say "finished: $name is on $disk already, nothing was changed"
	finish 0
	;;
"asternixos installing"*)
	say "an installation on $disk was cut off: starting over"
	;;
*)
	end=$(($(mib "$disk") - 1))
	if [ "$(first "$disk" 1048576)" != 0 ] || [ "$(dd if="$disk" bs=1048576 skip=$end 2>/dev/null | tr -d '\000' | head -c 1 | wc -c)" != 0 ]; then
		[ -n "$force" ] || failed 4 "$disk holds data; with --force it is overwritten"
		say "the data on $disk will be lost, as --force says"
	fi
	;;
esac
[ "$(mib "$disk")" -ge $((needed + boot_mib + 2)) ] ||
	failed 5 "$disk has $(mib "$disk") MiB, and $((needed + boot_mib + 2)) MiB are needed"

if [ -z "$unattended" ]; then
	printf 'Everything on %s will be lost. Type its name again to go on: ' "$disk"
	read -r again || again=
	[ "$again" = "$disk" ] || failed 3 "not confirmed"
fi
say "checked"

write_mark "asternixos installing $name" || failed 6 "writing to $disk"
sfdisk --quiet --wipe always --wipe-partitions always "$disk" <<TABLE || failed 6 "partitioning $disk"
label: gpt
start=1MiB, size=${boot_mib}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=asternixos-boot
type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=asternixos-root
TABLE
tries=0
until [ -b "$(partition 2)" ]; do
	tries=$((tries + 1))
	[ $tries -lt 50 ] || failed 6 "the partitions of $disk do not appear"
	sleep 0.2
done
say "partitioned"

mkfs.fat -F 32 -n ASTERNIXOS "$(partition 1)" >/dev/null || failed 6 "making the boot file system"
# The plainest ext2: Asterinas mounts it, too.
mke2fs -q -F -t ext2 -b 4096 -I 128 -L asternixos "$(partition 2)" || failed 6 "making the root file system"
sync
say "file systems made"

mkdir -p "$target"
mount -t ext2 "$(partition 2)" "$target" || failed 6 "mounting the root file system"
mkdir -p "$target/boot"
mount -t vfat "$(partition 1)" "$target/boot" || failed 6 "mounting the boot file system"
if [ -n "${installer_system:-}" ]; then
	etc=$target/etc/nixos
	mkdir -p "$etc"
	cp -r "${installer_configuration:?}/." "$etc/" && chmod -R u+w "$etc" &&
		sed -i "s#@rootDevice@#$(partition 2)#" "$etc/machine.nix" || failed 6 "copying the configuration"
	# Copies the closure, and the channel, and installs the boot loader.
	if [ "$(partition 2)" = "${installer_root:?}" ]; then
		set -- --system "$installer_system"
	else
		set --
		say "the root partition is $(partition 2) and not $installer_root: building the system for it"
	fi
	nixos-install --root "$target" --no-root-passwd "$@" || failed 6 "nixos-install"
	sync
	say "system copied"
else
	tar -xf "$payload/root.tar" -C "$target" || failed 6 "copying the system"
	sync
	say "system copied"
	cp -r "$payload/esp/." "$target/boot/" || failed 6 "installing the boot loader"
fi
sync
say "boot loader installed"

umount "$target/boot" && umount "$target" || failed 6 "unmounting"
sync
write_mark "asternixos installed $name" || failed 6 "writing to $disk"
sync
say "finished: $name is on $disk"
finish 0
