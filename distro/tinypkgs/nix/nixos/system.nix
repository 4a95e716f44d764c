# The system: kernel, programs and files in one folder, as the harness boots it.
{ lib, config, pkgs, ... }:
let
  inherit (lib) mkOption types;
  failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  checked =
    value:
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (m: "- ${m}") failed}"
    else
      lib.foldl' (v: w: builtins.trace "warning: ${w}" v) value config.warnings;
  files = builtins.listToAttrs (
    map (e: {
      name = "etc/${e.target}";
      value = e.source;
    }) (builtins.filter (e: e.enable) (builtins.attrValues config.environment.etc))
  );
in
{
  options = {
    networking = mkOption {
      default = { };
      description = "NixOS's options below networking: accepted, and without effect but for these.";
      type = types.submodule {
        freeformType = types.attrsOf types.anything;
        options = {
          hostName = mkOption {
            type = types.strMatching "[a-zA-Z0-9]([a-zA-Z0-9-]{0,62})?";
            default = "nixos";
            description = "The machine's name.";
          };
          nameservers = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Name servers, by address.";
          };
        };
      };
    };
    system = {
      stateVersion = mkOption {
        type = types.str;
        default = "25.05";
        description = "The release whose data formats this machine began with.";
      };
      nixos.distroName = mkOption {
        type = types.str;
        default = "NixOS";
        description = "The name of the distribution.";
      };
      build = mkOption {
        type = types.lazyAttrsOf types.unspecified;
        default = { };
        description = "What can be built of a configuration.";
      };
      checks = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Derivations that must build for the system to be built.";
      };
      kernel = mkOption {
        type = types.raw;
        default = null;
        internal = true;
        description = "The kernel, in the form the Nix entry takes it.";
      };
      boot.script = mkOption {
        type = types.lines;
        default = "";
        description = "A script that runs before the first shell.";
      };
      systemBuilderCommands = mkOption {
        type = types.lines;
        default = "";
        description = "NixOS's: accepted, without effect here.";
      };
      activationScripts = mkOption {
        type = types.attrsOf types.unspecified;
        default = { };
        description = "NixOS's: accepted, without effect here.";
      };
    };
  };

  config = {
    environment.etc = {
      hostname.text = config.networking.hostName + "\n";
      NIXOS.text = "";
      os-release.text = ''
        NAME="${config.system.nixos.distroName}"
        ID=nixos
        VERSION_ID="${config.system.stateVersion}"
      '';
      "set-environment".text = lib.concatStrings (
        lib.mapAttrsToList (n: v: "export ${n}=${lib.escapeShellArg v}\n") config.environment.sessionVariables
      );
    };
    system.boot.script = lib.mkBefore "hostname ${config.networking.hostName}";
    system.build = rec {
      # What makeSystem and makeInstaller take, so that both build the same system.
      parts = checked {
        name = config.networking.hostName;
        inherit (config.system) kernel;
        packages = config.environment.systemPackages ++ config.system.checks;
        rc = config.system.boot.script;
        inherit files;
      };
      toplevel = pkgs.makeSystem parts;
    };
  };
}
