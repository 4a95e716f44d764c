# A kernel as the Nix entry takes it: null for this set's own Linux, a path or derivation of an image, or
# { image; params ? ; modules ? ; initrd ? ; protocol ? ; profile ? }. Returned with every field.
{ lib, linux }:
kernel:
let
  given =
    if kernel == null then
      {
        image = "${linux}/vmlinuz";
        modules = linux;
      }
    else if builtins.isAttrs kernel && !lib.isDerivation kernel then
      kernel
    else
      { image = kernel; };
  profile = given.profile or "linux";
  params = {
    # The last console is /dev/console. A panic reboots at once, which ends the machine.
    linux = [ "console=ttyS0" "console=hvc0" "panic=-1" ];
    # Both names of the log level: the kernel changed it, and prints no panic without one.
    asterinas = [ "earlycon" "console=hvc0" "loglevel=error" "ostd.log_level=error" ];
  };
in
{
  inherit (given) image;
  inherit profile;
  params = given.params or params.${profile} or [ ];
  # Asterinas has no loadable modules.
  modules = if profile == "asterinas" then null else given.modules or null;
  initrd = given.initrd or null;
  protocol = given.protocol or "bzimage";
}
