# Core: kernel, initramfs, boot loader, command line, and no Linux modules.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos;
  asterinas = cfg.kernel.profile == "asterinas";

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

  # A boot script's list: kernel-params of a system, before what is init's own.
  initArguments = [
    "root=${cfg.rootDevice}"
    "init=/nix/var/nix/profiles/system/init"
    "rd.break=${if cfg.initramfs.shell then "1" else "0"}"
  ];

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

    # NixOS would build a Linux kernel and its initramfs; both come from above.
    boot.kernel.enable = lib.mkDefault (!asterinas && cfg.kernel.image == null);
    boot.initrd.enable = lib.mkDefault (!asterinas && cfg.kernel.image == null);
    boot.loader.grub.enable = lib.mkDefault false;
    # Asterinas' image has an EFI stub that systemd-boot starts; GRUB's `linux` falls silent on it.
    boot.loader.systemd-boot.enable = lib.mkDefault true;
    boot.loader.systemd-boot.configurationLimit = lib.mkDefault 4;
    boot.loader.efi.canTouchEfiVariables = lib.mkDefault false;

    fileSystems."/" = {
      device = lib.mkDefault cfg.rootDevice;
      fsType = lib.mkDefault "ext2";
    };

    system = {
      checks = lib.optionals asterinas [ noModules ];
      systemBuilderCommands = lib.mkIf (cfg.kernel.image != null) ''
        rm -f $out/kernel $out/initrd $out/kernel-params
        ln -s ${cfg.kernel.image} $out/kernel
        ${lib.optionalString cfg.initramfs.enable "ln -s ${initramfs}/initrd $out/initrd"}
        echo "${toString (cfg.kernel.commandLine ++ [ "--" ] ++ initArguments)}" > $out/kernel-params
        echo ${cfg.kernel.profile} > $out/profile
      '';
      # modprobe would be told about modules that are not there.
      activationScripts.modprobe = lib.mkIf asterinas (lib.mkForce "");
      nixos.distroName = lib.mkDefault "Asterinas NixOS";
    };

    nix.settings = {
      substituters = cfg.substituters;
      trusted-public-keys = cfg.trustedPublicKeys;
      # Asterinas has neither seccomp filters nor the namespaces of a sandbox.
      filter-syscalls = lib.mkIf asterinas false;
      sandbox = lib.mkIf asterinas (lib.mkDefault false);
    };

    assertions = [
      {
        assertion = asterinas -> (config.boot.extraModulePackages or [ ]) == [ ];
        message = "boot.extraModulePackages is set, but Asterinas loads no Linux kernel modules. Remove the packages; what they drive is not supported.";
      }
      {
        assertion = asterinas -> (config.boot.kernelModules or [ ]) == [ ];
        message = "boot.kernelModules names ${toString (config.boot.kernelModules or [ ])}, but Asterinas loads no Linux kernel modules. Remove the option, or the module that sets it.";
      }
      {
        assertion = asterinas -> cfg.kernel.modules == null;
        message = "asternixos.kernel.modules is set for an Asterinas kernel. Set asternixos.kernel.profile = \"linux\" if the image is Linux.";
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

    warnings = lib.optional (asterinas && cfg.logLevel == "off") "asternixos.logLevel is off: a panic of the kernel shows no message on the console.";
  };
}
