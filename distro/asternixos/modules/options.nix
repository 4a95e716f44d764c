# The options of AsterNixOS. What they do is in the modules beside this one; here is what a user
# can say, and what it means.
{ lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  # A file of the machine is copied to the store, so that every generation keeps its own kernel.
  intoStore =
    path:
    if path == null || lib.isDerivation path || lib.hasPrefix builtins.storeDir (toString path) then
      path
    else
      builtins.path {
        name = "asternixos-kernel";
        inherit path;
      };
in
{
  options.asternixos = {
    kernel = {
      image = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = lib.literalExpression "./kernel/asterinas";
        apply = intoStore;
        description = ''
          The kernel's image; the installer sets it in machine.nix. With null, no kernel is part of the system, and
          whoever boots it brings one.
        '';
      };
      profile = mkOption {
        type = types.enum [
          "asterinas"
          "linux"
        ];
        default = "asterinas";
        description = "Which kernel the image is. With linux, the system is the control that failures are compared with.";
      };
      modules = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "A folder with lib/modules/VERSION, for the initramfs of a Linux kernel. Asterinas loads none.";
      };
      params = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "ostd.log_level=warn" ];
        description = "Further parameters of the kernel. They come last, so they win.";
      };
      commandLine = mkOption {
        type = types.listOf types.str;
        internal = true;
        description = "All of the kernel's parameters, in their order.";
      };
    };

    logLevel = mkOption {
      type = types.enum [
        "off"
        "error"
        "warn"
        "info"
        "debug"
        "trace"
      ];
      default = "error";
      description = ''
        What the kernel logs. At off a panic shows no message, only a stack trace on the serial port; at
        debug every system call is logged, and a shell takes half a minute to appear.
      '';
    };

    console = mkOption {
      type = types.enum [
        "hvc0"
        "tty0"
        "ttyS0"
      ];
      default = "hvc0";
      description = "The console: the virtio console, the screen, or the serial port.";
    };

    rootDevice = mkOption {
      type = types.strMatching "/dev/[a-z0-9/]+";
      default = "/dev/vda2";
      description = "The partition that holds the root file system, which is ext2.";
    };

    initramfs = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether a small initramfs mounts the root file system. Off is for a kernel that does so itself.";
      };
      shell = mkEnableOption "a shell in the initramfs, instead of going on to the root file system";
    };

    services.disabled = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      example = {
        "systemd-oomd" = null;
        "fstrim" = "the kernel's block devices do not discard";
      };
      description = ''
        The services of systemd that are kept from starting, each with the reason. To start one all the same, when
        the reason no longer holds, set it to null; lib.mkForce replaces the whole list.
      '';
    };

    desktop.enable = mkEnableOption "the Xfce desktop on the frame buffer";
    containers.enable = mkEnableOption "podman and runc, with settings that Asterinas can follow";

    substituters = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Binary caches besides NixOS's own. Nothing built from a pull request belongs here.";
    };
    trustedPublicKeys = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "The keys of these binary caches.";
    };
  };
}
