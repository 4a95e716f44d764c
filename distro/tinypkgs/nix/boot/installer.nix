# makeInstaller { name; kernel; packages; ... }: a UEFI installer image. It boots Linux always, whatever is to be installed: partitions
# the blank virtio disk, installs a system with the kernel under test and systemd-boot (which starts Linux and
# Asterinas images alike; Debian's GRUB does not), says on both consoles how far it came, and powers off.
{ lib, stdenv, linux, makeInitrd, disktools, debian }:
let
  resolve = import ./kernel.nix { inherit lib linux; };
in
{
  name,
  kernel ? null,
  # The installed system: programs, a script at boot, further files.
  packages ? [ ],
  rc ? "",
  files ? { },
  # The disk's layout, as sfdisk reads it: the first partition is for booting, the second is the root.
  partitions ? ./partitions,
  # What runs in the installer, sourced by its shell: the system to install is in /payload, its name in $name.
  script ? ./installer.sh,
  # How to tell success, and what to run on the installed disk.
  asterbot ? { },
}:
let
  k = resolve kernel;
  root = makeInitrd {
    name = "${name}-root";
    inherit packages rc files;
    root = true;
  };
  # On the disk's boot partition: enough to mount the root partition and to enter it.
  bootInitrd = makeInitrd {
    name = "${name}-boot";
    inherit (k) modules;
  };
  payload = stdenv.mkDerivation {
    name = "${name}-payload";
    inherit root;
    system_name = name;
    inherit (k) image;
    initrd = if k.initrd != null then k.initrd else "${bootInitrd}/initrd";
    # To Asterinas init has to be named: it takes the first shell it finds otherwise. And it refuses parameters it does
    # not know: init's own come after "--".
    params =
      if k.profile == "asterinas" then
        lib.optional (!builtins.any (lib.hasPrefix "init=") k.params) "init=/init" ++ k.params ++ [ "--" "root=/dev/vda2" ]
      else
        [ "root=/dev/vda2" ] ++ k.params;
    loader = "${(debian.package "systemd-boot-efi").path}/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    buildCommand = ''
      mkdir -p "$out/esp/EFI/BOOT" "$out/esp/EFI/$system_name" "$out/esp/loader/entries"
      cp "$loader" "$out/esp/EFI/BOOT/BOOTX64.EFI"
      cp "$image" "$out/esp/EFI/$system_name/kernel"
      cp "$initrd" "$out/esp/EFI/$system_name/initrd"
      printf 'timeout 0\ndefault %s.conf\n' "$system_name" >"$out/esp/loader/loader.conf"
      printf 'title %s\nlinux /EFI/%s/kernel\ninitrd /EFI/%s/initrd\noptions %s\n' "$system_name" "$system_name" "$system_name" "$params" >"$out/esp/loader/entries/$system_name.conf"
      tar -C "$root" --sort=name --mtime=@1 --owner=0 --group=0 -cf "$out/root.tar" .
    '';
  };
  installerInitrd = makeInitrd {
    name = "${name}-installer";
    packages = [ disktools ];
    modules = linux;
    load = [ "virtio_pci" "virtio_console" "virtio_blk" "ext4" "vfat" "nls_cp437" "nls_ascii" ];
    rc = ''
      export name=${name}
      . /installer
    '';
    files = {
      inherit partitions payload;
      installer = script;
    };
  };
in
if k.protocol == "multiboot" then
  { unavailable = "a multiboot kernel boots directly only: no boot loader of the installer starts it"; }
else
  stdenv.mkDerivation {
    name = "${name}.iso";
    inherit linux payload;
    volume = lib.toUpper (builtins.replaceStrings [ "-" ] [ "_" ] name);
    initrd = installerInitrd;
    loader = "${(debian.package "systemd-boot-efi").path}/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    buildCommand = ''
      source ${./iso.sh}
    '';
    passthru = {
      kernel = k;
      asterbot = {
        installer = {
          success = "^installer: finished";
          failure = "^installer: FAILED";
          stages = [ "^installer: start" "^installer: partitioned" "^installer: file systems made" "^installer: system copied" "^installer: boot loader installed" ];
          disk = 512;
        };
      } // asterbot;
    };
    meta.description = "An installer for ${name}";
  }
