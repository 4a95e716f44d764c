# Definitions of one option become one value.
#
# In this order: conditions and merges are unwrapped, overridden ones dropped,
# what is left is sorted by order, checked and merged by the type.
let
  inherit (builtins)
    concatMap
    filter
    foldl'
    map
    sort
    ;
  inherit (import ./properties.nix) isType defaultOverridePriority defaultOrderPriority;
  inherit (import ./show.nix) showDefs showOption;

  # Definitions without `if` and `merge`, in their order.
  discharge =
    def:
    if isType "merge" def.value then
      concatMap (value: discharge (def // { inherit value; })) def.value.contents
    else if isType "if" def.value then
      if !(builtins.isBool def.value.condition) then
        throw "The condition of a `mkIf' in `${def.file}' is not a boolean."
      else if def.value.condition then
        discharge (def // { value = def.value.content; })
      else
        [ ]
    else
      [ def ];

  priority = def: if isType "override" def.value then def.value.priority else defaultOverridePriority;
  strip = def: if isType "override" def.value then def // { value = def.value.content; } else def;
  order = def: if isType "order" def.value then def.value.priority else defaultOrderPriority;

  filterOverrides =
    defs:
    let
      lowest = foldl' (low: d: if priority d < low then priority d else low) 9999 defs;
    in
    {
      values = map strip (filter (d: priority d == lowest) defs);
      highestPrio = lowest;
    };

  # An order outside of an override or inside of one: both are written.
  sorted =
    defs:
    if builtins.any (d: isType "order" d.value) defs then
      map (d: if isType "order" d.value then d // { value = d.value.content; } else d) (
        # builtins.sort is stable.
        sort (a: b: order a < order b) defs
      )
    else
      defs;
in
{
  inherit discharge;

  merge =
    loc: type: defs:
    let
      overridden = filterOverrides (concatMap discharge defs);
      final = sorted overridden.values;
      isDefined = final != [ ];
      wrong = filter (d: !(type.check d.value)) final;
      mergedValue =
        if !isDefined then
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option."
        else if wrong != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}"
        else
          type.merge loc final;
    in
    {
      inherit isDefined mergedValue;
      inherit (overridden) highestPrio;
      defs = final;
      optionalValue = if isDefined then { value = mergedValue; } else { };
    };
}
