# What a definition may be wrapped in: conditions, priorities, orders.
#
# A wrapper is data (`_type` says which); only ./modules.nix unwraps it. The
# numbers are those of nixpkgs, so that modules mean the same under both.
rec {
  isType = type: value: builtins.isAttrs value && (value._type or null) == type;

  # The definition counts only where the condition holds. The condition may
  # depend on the configuration, so it is looked at as late as possible.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  # Several definitions where one is written.
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };

  # Of all definitions of an option only those of the lowest number count.
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  defaultOverridePriority = 100;
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;

  # Where in a list, or among lines, a definition goes: lower is earlier.
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  defaultOrderPriority = 1000;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;

  # How an example or a default is shown in a manual.
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  mkOption =
    {
      default ? null,
      defaultText ? null,
      example ? null,
      description ? null,
      type ? null,
      apply ? null,
      internal ? null,
      visible ? null,
      readOnly ? null,
      relatedPackages ? null,
    }@declaration:
    declaration // { _type = "option"; };

  isOption = isType "option";

  mkEnableOption =
    name:
    mkOption {
      type = (import ./types.nix).bool;
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
    };
}
