# Suites and images where the package set is tinypkgs: cases run on a Debian root, and
# the modules configure the small system that the suite "configured" boots and that the ISO installs.
{
  pkgs,
  lib,
  kernel,
  release,
}:
let
  # What the Debian root calls the packages; what is not here goes by its nixpkgs name.
  debianNames = {
    gnused = "sed";
    gnugrep = "grep";
    gnutar = "tar";
    gnumake = "make";
    xz = "xz-utils";
    vim = "vim-tiny";
    lua5_4 = "lua5.4";
    guile = "guile-3.0";
    php = "php-cli";
    sqlite = "sqlite3";
    redis = "redis-server";
    postgresql = "postgresql-15";
    nginx = "nginx-light";
    iputils = "iputils-ping";
    openssh = "openssh-server";
    nix = "nix-bin";
    busybox = "busybox-static";
  };
  inherit (pkgs.debianRoot) packages;

  # The modules' idea of a kernel is the entry's.
  kernelModule = lib.optionalAttrs (kernel != null) {
    asternixos.kernel = {
      image = "${kernel.image}";
      inherit (kernel) profile params;
    };
  };
  configured =
    more:
    (pkgs.nixos ({ config, lib, ... }: {
      imports = [
        ../configuration.nix
        kernelModule
        more
      ];
      # Without an Asterinas image, tinypkgs' Linux boots: the control.
      asternixos.kernel.profile = lib.mkIf (kernel == null) "linux";
      system.kernel =
        if kernel == null then
          null
        else
          { inherit (kernel) image profile protocol modules; params = config.asternixos.kernel.commandLine; }
          // lib.optionalAttrs (kernel ? initrd) { inherit (kernel) initrd; };
    })).config;

  system = configured {
    imports = [ ./tinypkgs-system.nix ];
    environment.etc."asternixos-release".text = "${if release == null then "unreleased" else release}\n";
  };

  smoke = lib.concatMap (c: lib.optional (c.smoke or false) c) (import ../suites/configured.nix).cases;
in
{
  # A Debian package is as good a python3 as any for its cases; patched packages have no substitute.
  substitute =
    path: otherwise:
    let
      name = debianNames.${path} or path;
    in
    if
      builtins.elem path [
        "podman"
        "runc"
      ]
    then
      otherwise
    else
      packages.${name} or otherwise;

  suite =
    name: suite:
    if (suite.nixos or false) || (suite.graphical or false) then
      { unavailable = "not in this package set"; }
    else
      removeAttrs suite [ "packages" "nixos" ] // { system = pkgs.makeDebianSystem { inherit name; kernel = kernel.given or null; }; };

  suites.configured = removeAttrs (import ../suites/configured.nix) [ "packages" "description" ] // {
    system = system.system.build.toplevel;
  };

  iso = pkgs.makeInstaller (
    system.system.build.parts
    // {
      script = ../installer/install.sh;
      asterbot = {
        installer = import ../installer/marks.nix;
        cases = smoke;
        owner = "@asterinas/distro";
      };
    }
  );
}
