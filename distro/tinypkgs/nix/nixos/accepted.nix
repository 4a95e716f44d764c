# NixOS's options that are taken and have no effect here, because this small system has no systemd, no
# services and no users to manage.
{ lib, config, ... }:
let
  accepted = [
    "boot"
    "documentation"
    "fileSystems"
    "hardware"
    "i18n"
    "nix"
    "nixpkgs"
    "programs"
    "services"
    "systemd"
    "time"
    "users"
    "virtualisation"
    "xdg"
  ];
in
{
  options =
    lib.genAttrs accepted (
      name:
      lib.mkOption {
        type = lib.types.submodule { freeformType = lib.types.attrsOf lib.types.anything; };
        default = { };
        description = "NixOS's options below ${name}: accepted, without effect on this system.";
      }
    )
    // {
      system.unsupported = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        readOnly = true;
        description = "The options that were set and have no effect on this system.";
      };
    };

  config.system.unsupported = lib.concatMap (
    name: map (n: "${name}.${n}") (builtins.attrNames config.${name})
  ) accepted;
}
