# Activates a NixOS configuration without asking systemd over D-Bus.
#
#   switch-to-configuration boot|switch|test|dry-activate|check
#
# Exits 0 when done, 1 on wrong usage, 2 when activation failed, 3 when the boot
# loader could not be installed.
set -u

toplevel=${TOPLEVEL:-${OUT:-}}
fail() {
	status=$1
	shift
	echo "switch-to-configuration: $*" >&2
	exit "$status"
}

[ -n "$toplevel" ] || fail 1 "TOPLEVEL is not set: run $0 through its NixOS system"
action=${1:-}
case $action in
boot | switch | test | dry-activate | check) ;;
*) fail 1 "usage: switch-to-configuration boot|switch|test|dry-activate|check" ;;
esac

root=${SWITCH_ROOT:-}
[ -e "$root/etc/NIXOS" ] || fail 1 "this is not a NixOS system: /etc/NIXOS is missing"

if [ -n "${PRE_SWITCH_CHECK:-}" ] && [ "${NIXOS_NO_CHECK:-}" != 1 ]; then
	"$PRE_SWITCH_CHECK" "$toplevel" "$action" || fail 1 "the checks before the switch failed"
fi
[ "$action" = check ] && exit 0

# The boot partition cannot be mounted on Asterinas, which has no FAT. Where the new system has the kernel, the initramfs and
# the parameters that are running, what is in there boots it as it is: init is the profile's.
kernel_stays() {
	for part in kernel initrd kernel-params; do
		cmp -s "$toplevel/$part" "$root/run/booted-system/$part" || return 1
	done
	echo "the boot loader was left as it is: kernel, initramfs and parameters are those that are running" >&2
}

if [ "$action" = boot ] || [ "$action" = switch ]; then
	if [ -n "${INSTALL_BOOTLOADER:-}" ]; then
		"$INSTALL_BOOTLOADER" "$toplevel" ||
			kernel_stays ||
			fail 3 "the boot loader was not installed: the system boots as before"
	fi
fi
[ "$action" = boot ] && exit 0

if [ "$action" = dry-activate ]; then
	echo "would activate $toplevel"
	[ -x "$toplevel/dry-activate" ] && "$toplevel/dry-activate" "$toplevel"
	exit 0
fi

echo "activating $toplevel"
"$toplevel/activate" "$toplevel" || fail 2 "activation failed: see above; the previous system is still at $root/run/booted-system"
echo "units are not restarted, since there is no system bus: reboot to have all of it"
