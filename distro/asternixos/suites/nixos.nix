# What only a NixOS system has: its init, its way to switch, and containers as its modules set them up.
{
  owner = "@asterinas/distro";
  description = "systemd, switch-to-configuration, podman";
  nixos = true;
  memory = 2048;
  packages = [ "asternixos-systemd" "switch-to-configuration-ng" "podman" "busybox" ];
  cases = [
    { name = "systemd-is-init"; package = "asternixos-systemd"; smoke = true; run = "cat /proc/1/comm"; expect = "^systemd$"; }
    { name = "systemd-target"; package = "asternixos-systemd"; run = "systemctl is-active multi-user.target"; expect = "^active$"; timeout = 120; }
    { name = "systemd-unit"; package = "asternixos-systemd"; run = "systemd-run --wait --quiet -p PrivateMounts=yes sh -c 'exit 5'"; status = 5; timeout = 60; }
    { name = "systemd-failed-units"; package = "asternixos-systemd"; run = "systemctl --failed --no-legend | wc -l"; expect = "^0$"; timeout = 60; }
    { name = "switch-check"; package = "switch-to-configuration-ng"; run = "/run/current-system/bin/switch-to-configuration check"; timeout = 60; }
    { name = "switch-dry-activate"; package = "switch-to-configuration-ng"; run = "/run/current-system/bin/switch-to-configuration dry-activate"; expect = "^would activate /nix/store/"; timeout = 60; }
    { name = "switch-usage"; package = "switch-to-configuration-ng"; run = "/run/current-system/bin/switch-to-configuration sideways"; status = 1; timeout = 60; }
    { name = "podman-version"; package = "podman"; run = "podman --version"; expect = "^podman version [0-9]"; timeout = 60; }
    { name = "podman-run"; package = "podman"; run = "mkdir -p /tmp/image/bin && cp $(readlink -f $(command -v busybox)) /tmp/image/bin/busybox && tar -C /tmp/image -c . | podman import - local/busybox && podman run --rm local/busybox /bin/busybox echo in a container"; expect = "^in a container$"; timeout = 180; }
  ];
}
