# Suites and images where the package set is nixpkgs: NixOS systems of the modules.
{
  pkgs,
  lib,
  kernel,
  release,
}:
let
  kernelModule = lib.optionalAttrs (kernel != null) {
    asternixos.kernel = {
      image = "${kernel.image}";
      inherit (kernel) profile params;
      modules = kernel.modules;
    };
  };

  configure =
    more:
    pkgs.nixos (
      { ... }:
      {
        imports = [
          ../configuration.nix
          kernelModule
          more
        ];
        asternixos.kernel.profile = lib.mkIf (kernel == null) (lib.mkDefault "linux");
        # The entry applied the overlays already: once is enough for a patch.
        nixpkgs.pkgs = pkgs;
        nixpkgs.overlays = lib.mkForce [ ];
        system.nixos.label = lib.mkIf (release != null) release;
      }
    );

  # A folder as the harness boots it: NixOS's own names, and the root as a disk.
  bootable =
    name: config:
    let
      disk = import "${pkgs.path}/nixos/lib/make-disk-image.nix" {
        inherit pkgs lib config;
        name = "${name}-disk";
        format = "raw";
        fsType = "ext2";
        partitionTableType = "none";
        installBootLoader = false;
        copyChannel = false;
        additionalSpace = "1024M";
      };
    in
    pkgs.runCommand "${name}-system" { } ''
      mkdir $out
      for f in kernel initrd kernel-params profile; do
        [ -e ${config.system.build.toplevel}/$f ] && ln -s ${config.system.build.toplevel}/$f $out/$f
      done
      ln -s ${disk}/*.img $out/disk.img
      echo ${if kernel == null then "bzimage" else kernel.protocol} > $out/protocol
    '';

  installed = configure { };
  smoke = lib.filter (c: c.smoke or false) (import ../suites/configured.nix).cases;
in
{
  substitute = _: otherwise: otherwise;

  suite =
    name: suite:
    let
      packages = map (path: lib.attrByPath (lib.splitString "." path) null pkgs) suite.packages;
    in
    removeAttrs suite [ "packages" "nixos" ]
    // {
      system = bootable name (configure {
        environment.systemPackages = lib.filter (p: p != null) packages;
        asternixos.rootDevice = "/dev/vda";
        # The disk is one file system, and the kernel is booted from outside.
        fileSystems."/boot".options = [ "noauto" ];
        boot.loader.systemd-boot.enable = false;
        asternixos.desktop.enable = name == "desktop";
        asternixos.containers.enable = name == "nixos";
      }).config;
    };

  suites = { };

  # The stock installation medium, of nixpkgs without overlays: it runs Linux, and a binary cache has it.
  iso =
    let
      medium = (import pkgs.path { inherit (pkgs.stdenv.hostPlatform) system; config = { }; overlays = [ ]; }).nixos (
        { modulesPath, ... }:
        {
          imports = [
            "${modulesPath}/installer/cd-dvd/installation-cd-minimal.nix"
            # nixpkgs itself, which the installed system is rebuilt with.
            "${modulesPath}/installer/cd-dvd/channel.nix"
            ../installer/medium.nix
          ];
          asternixos.installer = {
            inherit (installed.config.system.build) toplevel;
            inherit (installed.config.asternixos) kernel rootDevice;
          };
          system.nixos.label = lib.mkIf (release != null) release;
        }
      );
    in
    if kernel != null && kernel.protocol != "bzimage" then
      { unavailable = "systemd-boot starts a bzImage, and the kernel is ${kernel.protocol}"; }
    else
      medium.config.system.build.isoImage.overrideAttrs (old: {
        passthru = (old.passthru or { }) // {
          asterbot = {
            installer = import ../installer/marks.nix // {
              disk = 8192;
            };
            cases = smoke;
            owner = "@asterinas/distro";
          };
        };
      });
}
