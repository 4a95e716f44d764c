# makeDebianSystem { name; kernel; }: the Debian root with a kernel under it, as the harness takes a system.
#
# The root is the first disk, so nothing but a small initramfs is built again for another kernel;
# the harness writes to an overlay and never to the image.
{
  lib,
  stdenv,
  linux,
  makeInitrd,
  debianRoot,
}:
let
  resolve = import ../boot/kernel.nix { inherit lib linux; };
in
{
  name ? "debian",
  kernel ? null,
}:
let
  k = resolve kernel;
  initrd = makeInitrd {
    name = "${name}-initrd";
    inherit (k) modules;
  };
in
stdenv.mkDerivation {
  name = "${name}-system";
  inherit (k) image profile protocol;
  initrd = if k.initrd != null then k.initrd else "${initrd}/initrd";
  # What follows "--" is init's own, on every kernel.
  params = k.params ++ [ "--" "root=/dev/vda" ];
  disk = "${debianRoot}/disk.img";
  buildCommand = ''
    mkdir "$out"
    ln -s "$image" "$out/kernel"
    ln -s "$initrd" "$out/initrd"
    ln -s "$disk" "$out/disk.img"
    echo "$params" >"$out/kernel-params"
    echo "$profile" >"$out/profile"
    echo "$protocol" >"$out/protocol"
  '';
  passthru.kernel = k;
}
