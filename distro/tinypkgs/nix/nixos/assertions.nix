# What a configuration says about itself: conditions that must hold, and warnings.
{ lib, ... }:
{
  options = {
    assertions = lib.mkOption {
      type = lib.types.listOf lib.types.unspecified;
      default = [ ];
      example = [
        {
          assertion = false;
          message = "you cannot have this without that";
        }
      ];
      description = "Conditions that must hold for the system to be built, each with the message for when it does not.";
    };
    warnings = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "What is shown whenever the system is evaluated.";
    };
  };
}
