# All packages, as a function of their own fixed point.
{
  lib,
  host,
  system,
  config,
}:
self:
let
  inherit (self) callPackage;
in
{
  inherit lib host system config;
  pkgs = self;
  callPackage = lib.callPackageWith self;

  # From Debian.
  debian = import ./debian { inherit lib host system; };
  inherit (self.debian) fromDebian glibc toolchain;
  busybox = callPackage ./pkgs/busybox.nix { };
  bash = self.fromDebian {
    package = "bash";
    programs = [ "bash" ];
  };
  disktools = callPackage ./pkgs/disktools.nix { };

  # Building.
  stdenv = import ./stdenv { inherit lib system; inherit (self) toolchain glibc; };
  inherit (import ./fetch.nix { inherit lib host system; inherit (self) busybox; })
    fetchurl
    fetchDebianSource
    ;
  inherit (import ./trivial-builders.nix { inherit lib; inherit (self) stdenv bash; })
    runCommand
    writeTextFile
    writeText
    writeScript
    writeScriptBin
    writeShellScript
    writeShellScriptBin
    replaceVars
    replaceVarsWith
    symlinkJoin
    closureInfo
    ;

  # Upstream programs.
  bzip2 = callPackage ./pkgs/bzip2.nix { };
  hello = callPackage ./pkgs/hello.nix { };
  lua = callPackage ./pkgs/lua.nix { };
  lua-cjson = callPackage ./pkgs/lua-cjson.nix { };
  lua-filesystem = callPackage ./pkgs/lua-filesystem.nix { };
  lua-lpeg = callPackage ./pkgs/lua-lpeg.nix { };
  mini-httpd = callPackage ./pkgs/mini-httpd.nix { };
  sed = callPackage ./pkgs/sed.nix { };

  # Systems.
  linux = callPackage ./pkgs/linux.nix { };
  guest-init = callPackage ./boot/init.nix { };
  makeInitrd = callPackage ./boot/initrd.nix { };
  makeSystem = callPackage ./boot/system.nix { };
  makeInstaller = callPackage ./boot/installer.nix { };
  debianRoot = callPackage ./debian-root { };
  makeDebianSystem = callPackage ./debian-root/system.nix { };
  nixos = configuration: import ./nixos { pkgs = self; inherit configuration; };

  # What takes long to build and no overlay changes: the set-up builds it, which also shows that builds work.
  prepared = [
    self.toolchain
    self.linux
    self.guest-init
    self.disktools
    self.hello.configureCache
    self.sed.configureCache
  ];
}
