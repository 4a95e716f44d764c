# Desktop: Xfce on the frame buffer, started by one unit, without a display manager.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos;
in
{
  config = lib.mkIf cfg.desktop.enable {
    assertions = [
      {
        assertion = pkgs.xorg or null != null && pkgs.xfce or null != null;
        message = "asternixos.desktop.enable needs the X server and Xfce, which this package set does not have.";
      }
    ];

    services.xserver = {
      enable = true;
      desktopManager.xfce.enable = true;
      # startx instead of a display manager, which would want sessions of logind.
      displayManager.startx.enable = true;
      videoDrivers = lib.mkDefault [ "fbdev" ];
    };

    systemd.services.asternixos-desktop = {
      description = "Xfce on the frame buffer";
      wantedBy = [ "multi-user.target" ];
      # The screen has one owner.
      conflicts = [ "getty@tty1.service" ];
      environment.DISPLAY = ":0";
      serviceConfig = {
        ExecStart = "${pkgs.xorg.xinit or ""}/bin/startx /run/current-system/sw/bin/startxfce4 -- :0 vt1 -keeptty";
        Restart = "no";
      };
    };
  };
}
