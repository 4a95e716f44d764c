# Makes a UEFI image: systemd-boot, the installer's kernel and initramfs in the FAT image that firmware boots.
tree=$NIX_BUILD_TOP/esp
mkdir -p "$tree/EFI/BOOT" "$tree/EFI/installer" "$tree/loader/entries" "$NIX_BUILD_TOP/iso"
cp "$loader" "$tree/EFI/BOOT/BOOTX64.EFI"
cp "$linux/vmlinuz" "$tree/EFI/installer/kernel"
cp "$initrd/initrd" "$tree/EFI/installer/initrd"
printf 'timeout 0\ndefault installer.conf\n' >"$tree/loader/loader.conf"
printf 'title installer\nlinux /EFI/installer/kernel\ninitrd /EFI/installer/initrd\noptions console=ttyS0 console=hvc0 panic=-1\n' >"$tree/loader/entries/installer.conf"
chmod -R u+w "$tree"
find "$tree" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +

image=$NIX_BUILD_TOP/iso/efi.img
truncate -s "$(( $(du -sm --apparent-size "$tree" | cut -f1) + 4 ))M" "$image"
mkfs.fat -i 61737462 --invariant "$image" >/dev/null
# What mtools converts file names with.
export GCONV_PATH=$toolchain/usr/lib/x86_64-linux-gnu/gconv
# -m keeps the files' times: mcopy would otherwise note the time of the build.
mcopy -smi "$image" "$tree"/* ::
touch -d "@$SOURCE_DATE_EPOCH" "$image" "$(dirname "$image")"
xorriso -as mkisofs -quiet -V "$volume" \
  -e efi.img -no-emul-boot -o "$out" "$NIX_BUILD_TOP/iso"
