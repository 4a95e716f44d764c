# Init: a minimal systemd.
#
# Kernel limits worked around:
# - mount(MS_SLAVE) is EINVAL: systemd takes private mounts instead, or no unit
#   with a mount namespace starts. Can go when Asterinas has slave mounts.
# - no BPF, no audit, no TPM, no kernel modules: what needs them is not built.
#   Each flag can go with its own feature of the kernel.
#
# systemdMinimal is systemd's smallest build in nixpkgs; NixOS asks the
# package for some of the units that it leaves out, so empty ones are put in.
final: prev: {
  asternixos-systemd =
    if !(prev ? systemdMinimal) then null else (prev.systemdMinimal.override {
      withKmod = false;
      withLibBPF = false;
    }).overrideAttrs
      (old: {
        patches = (old.patches or [ ]) ++ [ ./systemd-0001-private-where-no-slave-mounts.patch ];

        postInstall = (old.postInstall or "") + ''
          stand_in() {
            [ -e "$out/example/systemd/system/$1" ] && return
            mkdir -p "$(dirname "$out/example/systemd/system/$1")"
            printf '[Unit]\nDescription=%s is not part of this systemd\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s\n' \
              "$1" "$2" > "$out/example/systemd/system/$1"
          }
          for unit in systemd-logind.service systemd-user-sessions.service systemd-firstboot.service \
              systemd-random-seed.service dbus-org.freedesktop.login1.service user@.service; do
            stand_in $unit ${prev.coreutils}/bin/true
          done
          stand_in user-runtime-dir@.service "${prev.coreutils}/bin/mkdir -p /run/user/%i"
        '';

        passthru = (old.passthru or { }) // {
          withLogind = false;
        };
      });
}
