# Desktop: the X server on a plain frame buffer, Xfce without a GPU.
#
# Kernel limits worked around:
# - /dev/fb0 is not listed below /sys/class/graphics: the X server takes what sysfs
#   does not know for a frame buffer that is not PCI. Can go when Asterinas lists it.
# - there is no DRM and no udev: the X server is built without looking for either.
#   Can go when Asterinas has a DRM driver.
# - a frame buffer has no vertical sync and no GL: xfwm4 is built without
#   its compositor, which would draw every frame on the processor. Can go with DRM.
# - the monitor of a frame buffer has no model name, by which xfdesktop's settings
#   find the wallpaper: a default is put where it holds for any monitor. A
#   change of configuration, not of code: xfdesktop's source of the pinned version was
#   not at hand to try a patch on. Can go when Asterinas offers EDID through DRM.
final: prev: {
  xorg =
    if !(prev ? xorg) then
      null
    else
      prev.xorg.overrideScope (
        _: xorg: {
          xorgserver = xorg.xorgserver.overrideAttrs (old: {
            patches = (old.patches or [ ]) ++ [ ./xorgserver-0001-frame-buffer-without-sysfs.patch ];
            configureFlags = (old.configureFlags or [ ]) ++ [
              "--disable-config-udev"
              "--disable-config-udev-kms"
            ];
          });
        }
      );

  xfce =
    if !(prev ? xfce) then
      null
    else
      prev.xfce.overrideScope (
        _: xfce: {
          xfwm4 = xfce.xfwm4.overrideAttrs (old: {
            configureFlags = (old.configureFlags or [ ]) ++ [ "--disable-compositor" ];
          });
          xfdesktop = xfce.xfdesktop.overrideAttrs (old: {
            postInstall = (old.postInstall or "") + ''
              install -Dm644 ${./xfce4-desktop.xml} \
                $out/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-desktop.xml
            '';
          });
        }
      );
}
