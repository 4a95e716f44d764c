# environment.*: programs and files.
{ lib, config, pkgs, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.environment = {
    systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "The packages whose programs are in everyone's PATH.";
    };
    sessionVariables = mkOption {
      type = types.attrsOf (types.either types.str types.int);
      default = { };
      apply = lib.mapAttrs (_: toString);
      description = "Variables of every shell.";
    };
    etc = mkOption {
      default = { };
      description = "Files below /etc.";
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              enable = mkOption {
                type = types.bool;
                default = true;
                description = "Whether the file is there.";
              };
              target = mkOption {
                type = types.str;
                default = name;
                description = "Its name, relative to /etc.";
              };
              text = mkOption {
                type = types.nullOr types.lines;
                default = null;
                description = "Its text.";
              };
              source = mkOption {
                type = types.path;
                description = "What it is a copy of.";
              };
              mode = mkOption {
                type = types.str;
                default = "symlink";
                description = "Its mode in octal, or symlink.";
              };
            };
            config.source = lib.mkIf (config.text != null) (
              lib.mkDefault (pkgs.writeText "etc-${builtins.replaceStrings [ "/" ] [ "-" ] name}" config.text)
            );
          }
        )
      );
    };
  };
}
