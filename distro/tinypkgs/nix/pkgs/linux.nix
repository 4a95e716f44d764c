# Debian's cloud kernel, out of its package: an image and its modules.
{ lib, host, stdenv, fetchurl }:
stdenv.mkDerivation {
  pname = "linux";
  inherit (host.kernel) version;
  src = fetchurl {
    url = "mirror://debian/pool/main/l/linux-signed-amd64/${host.kernel.file}";
    inherit (host.kernel) sha256;
  };
  # A Debian package is an ar archive of tar archives.
  buildCommand = ''
    ar x "$src"
    tar -xf data.tar.* --no-same-owner
    mkdir -p "$out/lib"
    cp "boot/vmlinuz-$version" "$out/vmlinuz"
    for folder in lib/modules usr/lib/modules; do
      if [ -d "$folder" ]; then cp -r "$folder" "$out/lib/"; fi
    done
    # Debian indexes modules when it installs a kernel, which this is not.
    depmod -b "$out" "$version"
  '';
  passthru.modulesVersion = host.kernel.version;
  meta = {
    description = "Debian's Linux kernel for virtual machines";
    license = lib.licenses.gpl2Only;
  };
}
