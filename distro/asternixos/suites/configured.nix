# The configured system: what the modules say is what boots.
{
  owner = "@asterinas/distro";
  description = "a system of configuration.nix and the modules";
  packages = [ "hello-asterinas" ];
  cases = [
    { name = "shell"; package = "hello-asterinas"; smoke = true; run = "echo up $((40 + 2))"; expect = "^up 42$"; }
    { name = "hello-asterinas"; package = "hello-asterinas"; smoke = true; run = "hello-asterinas"; expect = "^Hello Asterinas! This kernel calls itself [0-9A-Za-z]"; }
    { name = "hostname"; package = "hello-asterinas"; run = "hostname && cat /etc/hostname"; expect = "^asterinas\\s+asterinas$"; }
    { name = "os-release"; package = "hello-asterinas"; run = "cat /etc/os-release"; expect = "^NAME=\"Asterinas NixOS\"$"; }
    { name = "order"; package = "hello-asterinas"; run = "cat /etc/motd"; expect = "^Welcome to AsterNixOS\\s+last line$"; }
    { name = "session-variables"; package = "hello-asterinas"; run = ". /etc/set-environment && echo \"$GREETING\""; expect = "^hello from a module$"; }
    { name = "boot-script"; package = "hello-asterinas"; run = "cat /run/asternixos/boot-script"; expect = "^ran$"; }
    { name = "no-modules-loaded"; package = "hello-asterinas"; run = "test ! -d /lib/modules/asterinas"; }
  ];
}
