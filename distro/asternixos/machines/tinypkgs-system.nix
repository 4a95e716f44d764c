# What the tests of the module system look for in the system that boots: values that went through
# every kind of merge.
{ lib, pkgs, ... }:
{
  imports = [ { environment.etc."motd".text = lib.mkAfter "last line"; } ];
  environment = {
    etc."motd".text = lib.mkMerge [
      (lib.mkBefore "Welcome to AsterNixOS")
      (lib.mkIf false "never seen")
    ];
    systemPackages = [ pkgs.hello pkgs.lua ];
    sessionVariables.GREETING = "hello from a module";
  };
  system.boot.script = "mkdir -p /run/asternixos && echo ran > /run/asternixos/boot-script";
}
