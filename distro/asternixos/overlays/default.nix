# The overlays of AsterNixOS, in the order they are applied. The attributes each
# one promises are listed beside it: the entry offers them as packages, also where a
# package set lacks them. `from` names what a package with a name of its own is made from.
[
  {
    name = "containers";
    overlay = import ./containers;
    packages = [
      "podman"
      "runc"
    ];
  }
  {
    name = "init";
    overlay = import ./init;
    packages = [ "asternixos-systemd" ];
    from.asternixos-systemd = "systemdMinimal";
  }
  {
    name = "desktop";
    overlay = import ./desktop;
    packages = [
      "xfce.xfdesktop"
      "xfce.xfwm4"
      "xorg.xorgserver"
    ];
  }
  {
    name = "switch-to-configuration";
    overlay = import ./switch-to-configuration;
    packages = [ "switch-to-configuration-ng" ];
  }
  {
    name = "hello-asterinas";
    overlay = import ./hello-asterinas;
    packages = [ "hello-asterinas" ];
  }
]
