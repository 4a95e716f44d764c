# Debian's own programs, made to run from the Nix store.
#
# The set-up imports the installed files of Debian packages by content, so their hashes, and
# through them every hash built with them, change when Debian's packages do. Here each program
# gets the interpreter and the library path of the store instead of /lib64 and /usr/lib, because
# nothing of the host is visible in the sandbox.
{
  lib,
  host,
  system,
}:
let
  inherit (host) debian;

  # One package's files. The output is fixed by its hash and is already in the store, so nothing is
  # ever built here; on a machine whose set-up did not run, the "builder" is the message.
  imported = builtins.mapAttrs (
    _: p:
    p
    // {
      path = derivation {
        inherit (p) name;
        inherit system;
        builder = "/not imported into this store: run 'bot doctor --install'";
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
        outputHash = p.sha256;
      };
    }
  ) debian;
  package =
    name:
    imported.${name}
      or (throw "tinypkgs: this machine has no Debian package '${name}' imported; known: ${toString (builtins.attrNames debian)}");

  # The version without epoch, fit for a store path.
  version = name: lib.removePrefix "${name}-" (package name).name;

  # The Debian packages and what they depend on, each once, as store paths.
  closure =
    names:
    map (p: p.path) (
      map (item: package item.key) (
        builtins.genericClosure {
          startSet = map (key: { inherit key; }) names;
          operator = item: map (key: { inherit key; }) (package item.key).deps;
        }
      )
    );

  build =
    args:
    derivation (
      {
        inherit system;
        builder = "${(package "busybox-static").path}/usr/bin/busybox";
        busybox = (package "busybox-static").path;
        args = [ "sh" "-e" args.script ];
        # The dynamic loader and libraries that patchelf runs with before anything is patched.
        patchelf = closure [ "patchelf" ];
      }
      // removeAttrs args [ "script" ]
    )
    // {
      meta = { };
      pname = args.name;
    };

  glibc = build {
    name = "glibc-${version "libc6"}";
    script = ./glibc.sh;
    packages = closure [ "libc6" "libcrypt1" "libgcc-s1" ];
  };

  # fromDebian { package; programs; files ? []; }: some programs of an installed Debian package, or of a list of them
  # under a name, with the libraries they load: small enough for a guest.
  fromDebian =
    {
      package,
      programs,
      files ? [ ],
      name ? "${package}-${version package}",
    }:
    build {
      name = name;
      script = ./programs.sh;
      packages = closure (lib.toList package);
      inherit glibc programs files;
    };

  toolchain = build {
    name = "debian-toolchain";
    script = ./toolchain.sh;
    packages = closure [
      "bash" "binutils" "bzip2" "coreutils" "cpio" "dash" "diffutils" "dosfstools" "e2fsprogs" "findutils" "gcc" "grep" "gzip" "kmod"
      "libc6-dev" "make" "mawk" "mtools" "patch" "patchelf" "sed" "tar" "xorriso" "xz-utils" "zstd"
    ];
    inherit glibc;
  };
in
{
  inherit package version closure fromDebian glibc toolchain;
}
