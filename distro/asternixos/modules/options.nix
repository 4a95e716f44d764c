# The options of AsterNixOS. What they do is in the modules beside this one; here is what a user
# can say, and what it means.
{ lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
in
{
  options.asternixos = {
    kernel = {
      image = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/boot/asterinas-osdk-bin";
        description = "The kernel's image. With null, no kernel is part of the system, and whoever boots it brings one.";
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
      type = types.attrsOf types.str;
      example = {
        "systemd-oomd" = "there is no memory pressure information";
      };
      description = ''
        The units of systemd that are kept from starting, each with the reason. A reason that no longer
        holds is how one finds what can be taken off the list; lib.mkForce replaces the whole list.
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
