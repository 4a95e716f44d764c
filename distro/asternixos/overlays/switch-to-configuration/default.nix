# switch-to-configuration: `nixos-rebuild switch` without D-Bus.
#
# Kernel limit worked around: the system bus does not come up on Asterinas, and
# nixpkgs' program asks systemd over it which units to restart. Can go when
# dbus-daemon passes its case in the suite "base-nixos".
#
# A program of our own in its place instead of a patch that takes most of the other's
# main function out: it does what needs no bus (boot loader, activation) and
# says which units it would have had to look at. It takes what NixOS's wrapper sets:
# OUT, TOPLEVEL, DISTRO_ID, INSTALL_BOOTLOADER, PRE_SWITCH_CHECK.
final: prev: {
  switch-to-configuration-ng = prev.runCommand "switch-to-configuration-without-bus" {
    pname = "switch-to-configuration-without-bus";
    version = "1";
    meta.mainProgram = "switch-to-configuration";
    meta.description = "Activates a NixOS configuration without D-Bus";
  } ''
    mkdir -p $out/bin
    {
      echo '#!${prev.bash}/bin/bash'
      cat ${./switch-to-configuration.sh}
    } > $out/bin/switch-to-configuration
    chmod +x $out/bin/switch-to-configuration
  '';
}
