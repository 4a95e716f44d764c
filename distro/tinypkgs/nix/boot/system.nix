# makeSystem { name; kernel; packages; ... }: a bootable system, as the harness takes it: kernel, initrd,
# kernel-params, profile and protocol in one folder. Everything is in the initramfs; there is no disk.
{ lib, stdenv, callPackage, linux, makeInitrd }:
let
  resolve = import ./kernel.nix { inherit lib linux; };
in
{
  name,
  kernel ? null,
  packages ? [ ],
  rc ? "",
  files ? { },
}:
let
  k = resolve kernel;
  initrd = makeInitrd {
    name = "${name}-initrd";
    inherit packages rc files;
    inherit (k) modules;
  };
in
stdenv.mkDerivation {
  name = "${name}-system";
  inherit (k) image profile protocol;
  initrd = if k.initrd != null then k.initrd else "${initrd}/initrd";
  params = k.params;
  buildCommand = ''
    mkdir "$out"
    ln -s "$image" "$out/kernel"
    ln -s "$initrd" "$out/initrd"
    echo "$params" >"$out/kernel-params"
    echo "$profile" >"$out/profile"
    echo "$protocol" >"$out/protocol"
  '';
  passthru.kernel = k;
}
