# The desktop, judged by what the screen shows.
{
  owner = "@asterinas/distro";
  description = "X server, xfwm4 and xfdesktop on a frame buffer";
  packages = [ "xorg.xorgserver" "xfce.xfwm4" "xfce.xfdesktop" ];
  memory = 2048;
  graphical = true;
  machine = "ordered";
  cases = [
    { name = "frame-buffer"; package = "xorg.xorgserver"; run = "test -c /dev/fb0 && cat /sys/class/graphics/fb0/virtual_size 2>/dev/null; test -c /dev/fb0"; }
    { name = "x-server"; package = "xorg.xorgserver"; run = "(Xorg :0 -novtswitch > /tmp/x.log 2>&1 &); for i in $(seq 60); do [ -S /tmp/.X11-unix/X0 ] && break; sleep 1; done; [ -S /tmp/.X11-unix/X0 ] && echo display up || { tail -n 5 /tmp/x.log; exit 1; }"; expect = "^display up$"; timeout = 120; }
    { name = "xfwm4"; package = "xfce.xfwm4"; run = "export DISPLAY=:0; (xfwm4 --compositor=off > /tmp/wm.log 2>&1 & echo $! > /tmp/wm.pid); sleep 10; kill -0 $(cat /tmp/wm.pid) && echo window manager up"; expect = "^window manager up$"; timeout = 120; }
    { name = "xfdesktop"; package = "xfce.xfdesktop"; run = "export DISPLAY=:0; (xfdesktop > /tmp/xd.log 2>&1 & echo $! > /tmp/xd.pid); sleep 20; kill -0 $(cat /tmp/xd.pid) && echo desktop up"; expect = "^desktop up$"; timeout = 180; }
    { name = "picture"; package = "xfce.xfdesktop"; run = "sleep 1"; screen = "not blank"; }
  ];
}
