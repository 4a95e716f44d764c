# Core: kernel, initramfs, boot loader, command line, and no Linux modules.
{
  lib,
  config,
  options,
  pkgs,
  modulesPath,
  ...
}:
let
  cfg = config.asternixos;
  asterinas = cfg.kernel.profile == "asterinas";
  # Asterinas, or a control whose kernel is given: then kernel and initramfs are ours and NixOS builds neither.
  ours = asterinas || cfg.kernel.image != null;

  # Both names of the log level: the kernel renamed the parameter in July 2026.
  logging =
    if asterinas then
      [
        "earlycon"
        "loglevel=${cfg.logLevel}"
        "ostd.log_level=${cfg.logLevel}"
      ]
    else
      [
        "console=ttyS0"
        "panic=-1"
      ];

  # What follows "--" is for the initramfs. Without one the kernel itself reads root= and init=, and
  # would mount the root read-only if it were not told. The init is that of the current profile, not of one
  # generation: Asterinas has no FAT, so it cannot write a new entry for the boot loader, and
  # `nixos-rebuild` has to do without one where the kernel stays the same.
  commandLine =
    cfg.kernel.commandLine
    # Boot loaders of NixOS put the generation's init= before all this. To Asterinas until August 2026 that names a
    # file of the initramfs, and the last one counts.
    ++ lib.optional (cfg.initramfs.enable && asterinas) "init=/init"
    ++ lib.optional cfg.initramfs.enable "--"
    ++ [
      "root=${cfg.rootDevice}"
      "init=/nix/var/nix/profiles/system/init"
    ]
    ++ (
      if cfg.initramfs.enable then
        [ "rd.break=${if cfg.initramfs.shell then "1" else "0"}" ]
      else
        [
          "rootfstype=ext2"
          "rw"
        ]
    );

  # What the boot loader's installer reads (RFC 125). NixOS would write the name of its own Linux into it.
  bootspec = pkgs.writeText "boot.json" (
    builtins.toJSON {
      "org.nixos.bootspec.v1" = {
        system = pkgs.stdenv.hostPlatform.system;
        kernel = "${cfg.kernel.image}";
        kernelParams = commandLine;
        label = "${config.system.nixos.distroName} ${config.system.nixos.label or ""} (${cfg.kernel.profile})";
        toplevel = "@toplevel@";
        init = "@toplevel@/init";
      }
      // lib.optionalAttrs cfg.initramfs.enable { initrd = "${initramfs}/initrd"; };
      "org.nixos.specialisation.v1" = { };
    }
  );

  initramfs = pkgs.makeInitrd {
    contents = [
      {
        object = pkgs.writeScript "initramfs-init" (
          "#!${pkgs.busybox}/bin/ash\n"
          + builtins.replaceStrings [ "@busybox@" ] [ "${pkgs.busybox}/bin/busybox" ] (builtins.readFile ./initramfs-init.sh)
        );
        symlink = "/init";
      }
      {
        object = "${pkgs.busybox}/bin";
        symlink = "/bin";
      }
    ]
    ++ lib.optionals (cfg.kernel.modules != null && !asterinas) [
      {
        object = "${cfg.kernel.modules}/lib/modules";
        symlink = "/lib/modules";
      }
    ];
  };

  # NixOS's own modules name some for Linux, which nobody loads here: systemd is built without kmod. What the
  # configuration asks for, it relies on.
  kernelModules = lib.filter (d: !lib.hasPrefix "${modulesPath}/" d.file && d.value != [ ]) (
    (options.boot.kernelModules or { }).definitionsWithLocations or [
      {
        file = "the configuration";
        value = config.boot.kernelModules or [ ];
      }
    ]
  );

  # What would be loaded: modules in the profile that users and services run from. (Modules that
  # merely lie in a dependency, as of a package's tests, are loaded by nobody.)
  noModules =
    pkgs.runCommand "no-linux-modules"
      {
        closure = pkgs.closureInfo { rootPaths = config.environment.systemPackages; };
      }
      ''
        found=
        for path in $(cat $closure/store-paths); do
          for folder in $path/lib/modules $path/lib/modprobe.d; do
            [ -d $folder ] || continue
            found="$found$(find -L $folder -name '*.ko' -o -name '*.ko.*' | head -n 3)"
          done
        done
        if [ -n "$found" ]; then
          echo "Linux kernel modules are in the closure of environment.systemPackages, and Asterinas loads none:" >&2
          echo "$found" >&2
          echo "Take the package that brings them out, or set asternixos.kernel.profile = \"linux\" for a control." >&2
          exit 1
        fi
        touch $out
      '';
in
{
  config = {
    asternixos.kernel.commandLine = logging ++ [ "console=${cfg.console}" ] ++ cfg.kernel.params;

    boot = {
      kernel.enable = lib.mkIf ours (lib.mkDefault false);
      initrd.enable = lib.mkIf ours (lib.mkDefault false);
      bootspec.enable = lib.mkIf ours false;
      # NixOS's own Linux, as a control: on the same console, and from the same disk.
      kernelParams = lib.mkIf (!ours) cfg.kernel.commandLine;
      initrd.availableKernelModules = lib.mkIf (!ours) [
        "virtio_pci"
        "virtio_blk"
        "virtio_console"
      ];
      # No /proc/sys/kernel/modprobe, no modprobe.d, no kmod.
      modprobeConfig.enable = lib.mkIf asterinas (lib.mkDefault false);
      loader = {
        # Asterinas' image has an EFI stub, which systemd-boot starts; GRUB's `linux` falls silent on it.
        systemd-boot = {
          enable = lib.mkDefault (!asterinas || cfg.kernel.image != null);
          configurationLimit = lib.mkDefault 4;
        };
        grub.enable = lib.mkDefault false;
        # There are no EFI variables; systemd-boot is found by its default name.
        efi.canTouchEfiVariables = lib.mkDefault false;
      };
    };

    fileSystems = {
      "/" = {
        device = lib.mkDefault cfg.rootDevice;
        fsType = lib.mkDefault "ext2";
      };
      # Asterinas has no FAT and comes up without it.
      "/boot" = {
        device = lib.mkDefault "/dev/disk/by-label/ASTERNIXOS";
        fsType = lib.mkDefault "vfat";
        options = [
          "nofail"
          "umask=0077"
        ]
        ++ lib.optional asterinas "noauto";
      };
    };

    system = {
      checks = lib.optional asterinas noModules;
      systemBuilderCommands = lib.mkIf (cfg.kernel.image != null) ''
        ln -s ${cfg.kernel.image} $out/kernel
        ${lib.optionalString cfg.initramfs.enable "ln -s ${initramfs}/initrd $out/initrd"}
        echo ${lib.escapeShellArg (toString commandLine)} > $out/kernel-params
        echo ${cfg.kernel.profile} > $out/profile
        substitute ${bootspec} $out/boot.json --subst-var-by toplevel $out
      '';
      nixos.distroName = lib.mkDefault "Asterinas NixOS";
    };

    nix.settings = {
      substituters = cfg.substituters;
      trusted-public-keys = cfg.trustedPublicKeys;
      # Asterinas has neither seccomp filters nor the namespaces of a sandbox.
      filter-syscalls = lib.mkIf asterinas false;
      sandbox = lib.mkIf asterinas (lib.mkDefault false);
      # Nor does it let Nix drop to build users (asterinas#2672).
      build-users-group = lib.mkIf asterinas (lib.mkDefault "");
    };

    assertions = [
      {
        assertion = asterinas -> (config.boot.extraModulePackages or [ ]) == [ ];
        message = "boot.extraModulePackages is set, but Asterinas loads no Linux kernel modules. Remove the packages; what they drive is not supported.";
      }
      {
        assertion = asterinas -> kernelModules == [ ];
        message = "boot.kernelModules names ${
          toString (lib.concatMap (d: d.value) kernelModules)
        }, but Asterinas loads no Linux kernel modules. Remove it from ${
          lib.concatMapStringsSep ", " (d: d.file) kernelModules
        }.";
      }
      {
        assertion = asterinas -> cfg.kernel.modules == null;
        message = "asternixos.kernel.modules is set for an Asterinas kernel. Set asternixos.kernel.profile = \"linux\" if the image is Linux.";
      }
      {
        assertion = config.boot.loader.systemd-boot.enable or false && cfg.kernel.image != null -> cfg.initramfs.enable;
        message = "boot.loader.systemd-boot is enabled, and NixOS installs it only for systems with an initramfs. Set asternixos.initramfs.enable = true, or boot.loader.systemd-boot.enable = false and boot the kernel by other means.";
      }
      {
        assertion = cfg.initramfs.shell -> cfg.initramfs.enable;
        message = "asternixos.initramfs.shell needs asternixos.initramfs.enable: without an initramfs there is nothing to have a shell in.";
      }
      {
        assertion = (config.fileSystems."/".fsType or "ext2") == "ext2" || !asterinas;
        message = "fileSystems.\"/\".fsType is ${config.fileSystems."/".fsType or "?"}, but Asterinas mounts its root from ext2.";
      }
    ];

    warnings =
      lib.optional (asterinas && cfg.kernel.image == null)
        "asternixos.kernel.image is not set: the system has no kernel, and boots only where one is given from outside."
      ++ lib.optional (asterinas && cfg.logLevel == "off") "asternixos.logLevel is off: a panic of the kernel shows no message on the console.";
  };
}
