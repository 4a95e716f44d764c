# How messages name options, files and values.
let
  inherit (builtins)
    concatMap
    concatStringsSep
    isAttrs
    isFunction
    isList
    isString
    length
    map
    match
    replaceStrings
    stringLength
    substring
    ;

  # An element of an option's name, quoted where Nix would want it quoted.
  showPart =
    part:
    if match "[a-zA-Z_][a-zA-Z0-9_'-]*" part != null || match "<.*>|\\*|\\[.*]" part != null then
      part
    else
      builtins.toJSON part;

  # A value in Nix's syntax, two levels deep and on one line: for messages.
  showAt =
    depth: v:
    if isFunction v then
      "<function>"
    else if isAttrs v then
      if (v.type or null) == "derivation" then
        "<derivation ${v.name or "?"}>"
      else if depth == 0 && v != { } then
        "{ ... }"
      else if v == { } then
        "{ }"
      else
        "{ ${concatStringsSep " " (map (n: "${showPart n} = ${attempt (depth - 1) v.${n}};") (builtins.attrNames v))} }"
    else if isList v then
      if v == [ ] then
        "[ ]"
      else if depth == 0 then
        "[ ... ]"
      else
        "[ ${concatStringsSep " " (map (attempt (depth - 1)) v)} ]"
    else if isString v then
      builtins.toJSON v
    else if builtins.isPath v then
      toString v
    else
      builtins.toJSON v;

  # A value that does not evaluate must not hide the message it is shown in.
  attempt =
    depth: v:
    let
      tried = builtins.tryEval v;
    in
    if tried.success then showAt depth tried.value else "<error>";

  shorten = s: if stringLength s > 300 then substring 0 300 s + "..." else s;
in
rec {
  showOption = loc: concatStringsSep "." (map showPart loc);
  showValue = attempt 2;
  showFiles = files: concatStringsSep " and " (map (f: "`${f}'") files);
  showDefs =
    defs:
    concatStringsSep "" (
      map (d: "\n- In `${d.file}': ${shorten (replaceStrings [ "\n" ] [ "\n    " ] (showValue d.value))}") defs
    );
}
