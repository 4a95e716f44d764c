# Services: what of systemd is off, and why.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos;
  asterinas = cfg.kernel.profile == "asterinas";
  disabled = lib.filterAttrs (_: reason: reason != null) cfg.services.disabled;
in
{
  config = {
    asternixos.services.disabled = lib.mapAttrs (_: lib.mkDefault) {
      "logrotate" = "runs on a timer, whose clock the kernel does not let systemd arm";
      "network-setup" = "sets addresses by netlink requests that the kernel does not answer; the kernel brings its interface up itself";
      "resolvconf" = "the name server is a file of the configuration";
      "systemd-oomd" = "there is no memory pressure information";
      "systemd-random-seed" = "the kernel takes no entropy from user space";
      "systemd-tmpfiles-clean" = "runs on a timer";
      "systemd-tmpfiles-setup" = "sets attributes and access lists of files, which ext2 there does not have";
      "systemd-timesyncd" = "the kernel's clock cannot be set";
      "systemd-udevd" = "there are no uevents; devtmpfs has all devices";
      "systemd-coredump" = "the kernel writes no core dumps";
    };

    systemd = lib.mkIf asterinas {
      package = lib.mkIf (pkgs.asternixos-systemd or null != null) pkgs.asternixos-systemd;
      services = lib.mapAttrs (_: _: { enable = false; }) disabled;
      coredump.enable = lib.mkDefault false;
      oomd.enable = lib.mkDefault false;
      # A login on the console that is asked for; the screen's other terminals as usual.
      targets.getty.wants = [ "autovt@${cfg.console}.service" ];
      extraConfig = "LogLevel=crit\nShowStatus=no\n";
    };

    services = {
      udev.enable = lib.mkIf asterinas (lib.mkDefault false);
      timesyncd.enable = lib.mkIf asterinas (lib.mkDefault false);
      # root has no password after an installation; with one, set this to null.
      getty.autologinUser = lib.mkDefault "root";
    };

    # texinfo's install-info is killed by SIGBUS during nixos-rebuild.
    documentation.info.enable = lib.mkIf asterinas (lib.mkDefault false);
    # resolvconf is off: the file is the list. QEMU's own name server, where nothing else is said.
    networking.useDHCP = lib.mkIf asterinas (lib.mkDefault false); # no packet sockets; the kernel has an address
    networking.firewall.enable = lib.mkIf asterinas (lib.mkDefault false); # no netfilter
    networking.nameservers = lib.mkDefault [ "10.0.2.3" ];
    environment.etc."resolv.conf".text = lib.mkDefault (
      lib.concatMapStrings (address: "nameserver ${address}\n") config.networking.nameservers
    );
    environment.systemPackages = [ pkgs.hello-asterinas ];

    assertions = lib.mapAttrsToList (unit: reason: {
      assertion = builtins.match "[[:space:]]*" reason == null;
      message = "asternixos.services.disabled.\"${unit}\" has no reason. Say why the unit is off, so that it can come back.";
    }) disabled;
  };
}
