# The types an option can have.
#
# A type says which values it takes (`check`), how several definitions become
# one value (`merge loc defs`, where defs are `{ file, value }`), and, for
# types with options of their own, which ones (`getSubOptions`). What takes
# other types inside unwraps properties inside, too, so `mkIf` and `mkForce` work
# on elements as they do on options.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatStringsSep
    elem
    filter
    foldl'
    genList
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    match
    substring
    tail
    toString
    zipAttrsWith
    ;

  inherit (import ./properties.nix) mkOverride;
  inherit (import ./show.nix)
    showDefs
    showFiles
    showOption
    showValue
    ;

  mkOptionType =
    {
      name,
      description ? name,
      check ? (_: true),
      merge ? mergeDefault,
      emptyValue ? { },
      getSubOptions ? (_: { }),
      getSubModules ? null,
      substSubModules ? (_: null),
      # Both declarations of an option declared twice; null where they do not fit.
      typeMerge ? null,
      nestedTypes ? { },
    }:
    let
      type = {
        _type = "option-type";
        inherit
          name
          description
          check
          merge
          emptyValue
          getSubOptions
          getSubModules
          substSubModules
          nestedTypes
          ;
        typeMerge = if typeMerge != null then typeMerge else other: if other.name == name then type else null;
      };
    in
    type;

  conflict =
    loc: defs:
    throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value' or `lib.mkDefault value' to change the priority on any of these definitions.";

  # All definitions must agree.
  mergeEqual =
    loc: defs:
    if defs == [ ] then
      abort "no definition of `${showOption loc}' to merge"
    else
      let
        first = (head defs).value;
      in
      if all (d: d.value == first) (tail defs) then first else conflict loc defs;

  # Exactly one definition.
  mergeOne =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\nDefinition values:${showDefs defs}\nUse `lib.mkForce value' or `lib.mkDefault value' to change the priority on any of these definitions.";

  # What is done where a type does not say: join what joins.
  mergeDefault =
    loc: defs:
    let
      values = map (d: d.value) defs;
    in
    if length values == 1 then
      head values
    else if all isFunction values then
      x: mergeDefault loc (map (d: d // { value = d.value x; }) defs)
    else if all isList values then
      concatLists values
    else if all isAttrs values then
      foldl' (a: b: a // b) { } values
    else if all isBool values then
      any (v: v) values
    else if all isString values then
      concatStringsSep "" values
    else if all isInt values && all (v: v == head values) values then
      head values
    else
      conflict loc defs;

  mergeDefinitions = (import ./definitions.nix).merge;

  integer =
    name: description: check:
    mkOptionType {
      inherit name description;
      check = v: isInt v && check v;
      merge = mergeEqual;
    };

  between =
    lowest: highest:
    integer "intBetween" "integer between ${toString lowest} and ${toString highest} (both inclusive)" (
      v: lowest <= v && v <= highest
    );

  separatedString =
    separator:
    mkOptionType {
      name = "separatedString";
      description = if separator == "" then "Concatenated string" else "strings concatenated with ${builtins.toJSON separator}";
      check = isString;
      merge = _loc: defs: concatStringsSep separator (map (d: d.value) defs);
      typeMerge = other: if other.name == "separatedString" then separatedString separator else null;
    };

  # A type that takes one other type inside, as a function of it.
  elementwise =
    name: make: elem': other:
    if other.name == name then
      let
        merged = elem'.typeMerge other.nestedTypes.elemType;
      in
      if merged == null then null else make merged
    else
      null;

  needsParentheses = type: if match ".* .*" type.description == null then type.description else "(${type.description})";

  attrsOfWith =
    name: article: elemType: finish:
    mkOptionType {
      inherit name;
      description = "${article} of ${needsParentheses elemType}";
      check = isAttrs;
      merge =
        loc: defs:
        zipAttrsWith (key: found: finish loc key (mergeDefinitions (loc ++ [ key ]) elemType found)) (
          map (d: builtins.mapAttrs (_: value: { inherit (d) file; inherit value; }) d.value) defs
        );
      emptyValue.value = { };
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<name>" ]);
      getSubModules = elemType.getSubModules;
      substSubModules = m: attrsOfWith name article (elemType.substSubModules m) finish;
      typeMerge = elementwise name (t: attrsOfWith name article t finish) elemType;
      nestedTypes.elemType = elemType;
    };

  isDerivation = isType' "derivation";
  isType' = wanted: v: isAttrs v && (v.type or null) == wanted;

  isStringLike = v: isString v || builtins.isPath v || v ? outPath || v ? __toString;
  isStorePath =
    v: isStringLike v && match "${builtins.storeDir}/[0-9a-df-np-sv-z]{32}-[^/]+" (toString v) != null;

  # Without the undefined ones: { optionalValue = {} } stands for `mkIf false`.
  present = filter (e: e.value.optionalValue ? value);

  types = rec {
    inherit mkOptionType separatedString;

    raw = mkOptionType {
      name = "raw";
      description = "raw value";
      merge = mergeOne;
    };

    unspecified = mkOptionType {
      name = "unspecified";
      description = "unspecified value";
    };

    anything = mkOptionType {
      name = "anything";
      description = "anything";
      merge =
        loc: defs:
        let
          values = map (d: d.value) defs;
          isPlain = v: isAttrs v && !(isDerivation v) && !(v ? outPath) && !(v ? __toString);
        in
        if all isPlain values then
          (lazyAttrsOf anything).merge loc defs
        else if all isList values then
          # Lists are not joined: nobody can know whether that is meant.
          (if length values == 1 then head values else mergeEqual loc defs)
        else if all isFunction values && length values > 1 then
          x: anything.merge (loc ++ [ "<function body>" ]) (map (d: d // { value = d.value x; }) defs)
        else
          mergeEqual loc defs;
    };

    bool = mkOptionType {
      name = "bool";
      description = "boolean";
      check = isBool;
      merge = mergeEqual;
    };

    int = integer "int" "signed integer" (_: true);
    ints = {
      inherit between;
      unsigned = integer "unsignedInt" "unsigned integer, meaning >=0" (v: v >= 0);
      positive = integer "positiveInt" "positive integer, meaning >0" (v: v > 0);
      u8 = integer "unsignedInt8" "8 bit unsigned integer; between 0 and 255 (both inclusive)" (v: 0 <= v && v <= 255);
      u16 = types.port;
      u32 = integer "unsignedInt32" "32 bit unsigned integer; between 0 and 4294967295 (both inclusive)" (v: 0 <= v && v <= 4294967295);
    };
    port =
      integer "unsignedInt16" "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
        (v: 0 <= v && v <= 65535);
    float = mkOptionType {
      name = "float";
      description = "floating point number";
      check = isFloat;
      merge = mergeEqual;
    };
    number = either int float;

    str = mkOptionType {
      name = "str";
      description = "string";
      check = isString;
      merge = mergeEqual;
    };
    nonEmptyStr = mkOptionType {
      name = "nonEmptyStr";
      description = "non-empty string";
      check = v: isString v && match "[ \t\n]*" v == null;
      merge = mergeEqual;
    };
    singleLineStr = mkOptionType {
      name = "singleLineStr";
      description = "(optionally newline-terminated) single-line string";
      check = v: isString v && match "[^\n\r]*\n?" v != null;
      merge = loc: defs: head (builtins.split "\n" (mergeEqual loc defs));
    };
    strMatching =
      pattern:
      mkOptionType {
        name = "strMatching ${builtins.toJSON pattern}";
        description = "string matching the pattern ${pattern}";
        check = v: isString v && match pattern v != null;
        merge = mergeEqual;
      };
    lines = separatedString "\n";
    commas = separatedString ",";
    envVar = separatedString ":";

    path = mkOptionType {
      name = "path";
      description = "absolute path";
      check = v: isStringLike v && substring 0 1 (toString v) == "/";
      merge = mergeEqual;
    };
    package = mkOptionType {
      name = "package";
      description = "package";
      check = v: isDerivation v || isStorePath v;
      merge = mergeOne;
    };

    attrs = mkOptionType {
      name = "attrs";
      description = "attribute set";
      check = isAttrs;
      merge = _loc: defs: foldl' (a: d: a // d.value) { } defs;
      emptyValue.value = { };
    };

    # An undefined element goes; to know which are, every one is looked at.
    attrsOf =
      elemType:
      let
        base = attrsOfWith "attrsOf" "attribute set" elemType (_loc: _key: merged: merged);
      in
      base
      // {
        merge =
          loc: defs:
          let
            merged = base.merge loc defs;
            names = filter (n: merged.${n}.optionalValue ? value) (attrNames merged);
          in
          listToAttrs (map (name: { inherit name; value = merged.${name}.mergedValue; }) names);
        substSubModules = m: attrsOf (elemType.substSubModules m);
        typeMerge = elementwise "attrsOf" attrsOf elemType;
      };

    # One that does not look: an element can depend on another, and an
    # undefined one stays as an error for whoever asks for it.
    lazyAttrsOf =
      elemType:
      let
        base = attrsOfWith "lazyAttrsOf" "lazy attribute set" elemType (
          _loc: _key: merged: merged.optionalValue.value or elemType.emptyValue.value or merged.mergedValue
        );
      in
      base
      // {
        substSubModules = m: lazyAttrsOf (elemType.substSubModules m);
        typeMerge = elementwise "lazyAttrsOf" lazyAttrsOf elemType;
      };

    listOf =
      elemType:
      mkOptionType {
        name = "listOf";
        description = "list of ${needsParentheses elemType}";
        check = isList;
        merge =
          loc: defs:
          map (e: e.value.mergedValue) (
            present (
              concatLists (
                # Elements are numbered from 1 in each definition: that is how a message names them.
                genList (
                  n:
                  let
                    def = builtins.elemAt defs n;
                  in
                  genList (m: {
                    value =
                      mergeDefinitions
                        (loc ++ [ "[definition ${toString (n + 1)}-entry ${toString (m + 1)}]" ])
                        elemType
                        [
                          {
                            inherit (def) file;
                            value = builtins.elemAt def.value m;
                          }
                        ];
                  }) (length def.value)
                ) (length defs)
              )
            )
          );
        emptyValue.value = [ ];
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "*" ]);
        getSubModules = elemType.getSubModules;
        substSubModules = m: listOf (elemType.substSubModules m);
        typeMerge = elementwise "listOf" listOf elemType;
        nestedTypes.elemType = elemType;
      };
    nonEmptyListOf =
      elemType:
      let
        list = listOf elemType;
      in
      list
      // {
        description = "non-empty ${list.description}";
        check = v: list.check v && v != [ ];
        emptyValue = { };
      };

    nullOr =
      elemType:
      mkOptionType {
        name = "nullOr";
        description = "null or ${needsParentheses elemType}";
        check = v: v == null || elemType.check v;
        merge =
          loc: defs:
          let
            nulls = filter (d: d.value == null) defs;
          in
          if length nulls == length defs then
            null
          else if nulls != [ ] then
            throw "The option `${showOption loc}' is defined both null and not null, in ${showFiles (map (d: d.file) defs)}."
          else
            elemType.merge loc defs;
        emptyValue.value = null;
        inherit (elemType) getSubOptions getSubModules;
        substSubModules = m: nullOr (elemType.substSubModules m);
        typeMerge = elementwise "nullOr" nullOr elemType;
        nestedTypes.elemType = elemType;
      };

    functionTo =
      elemType:
      mkOptionType {
        name = "functionTo";
        description = "function that evaluates to a(n) ${needsParentheses elemType}";
        check = v: isFunction v || v ? __functor;
        merge =
          loc: defs: args:
          (mergeDefinitions (loc ++ [ "<function body>" ]) elemType (
            map (d: d // { value = d.value args; }) defs
          )).mergedValue;
        nestedTypes.elemType = elemType;
        typeMerge = elementwise "functionTo" functionTo elemType;
      };

    enum =
      values:
      mkOptionType {
        name = "enum";
        description =
          if values == [ ] then
            "impossible (empty enum)"
          else if length values == 1 then
            "value ${showValue (head values)} (singular enum)"
          else
            "one of ${concatStringsSep ", " (map showValue values)}";
        check = v: elem v values;
        merge = mergeEqual;
        typeMerge =
          other:
          if other.name == "enum" then
            enum (values ++ filter (v: !(elem v values)) other.nestedTypes.values)
          else
            null;
        nestedTypes = { inherit values; };
      };

    either =
      a: b:
      mkOptionType {
        name = "either";
        description = "${a.description} or ${b.description}";
        check = v: a.check v || b.check v;
        merge =
          loc: defs:
          let
            values = map (d: d.value) defs;
          in
          if all a.check values then
            a.merge loc defs
          else if all b.check values then
            b.merge loc defs
          else
            conflict loc defs;
        typeMerge =
          other:
          if other.name == "either" then
            let
              l = a.typeMerge other.nestedTypes.left;
              r = b.typeMerge other.nestedTypes.right;
            in
            if l == null || r == null then null else either l r
          else
            null;
        nestedTypes = {
          left = a;
          right = b;
        };
      };
    oneOf = alternatives: foldl' either (head alternatives) (tail alternatives);

    coercedTo =
      from: convert: to:
      mkOptionType {
        name = "coercedTo";
        description = "${to.description} or ${from.description} convertible to it";
        check = v: (from.check v && to.check (convert v)) || to.check v;
        merge =
          loc: defs: to.merge loc (map (d: d // { value = if from.check d.value then convert d.value else d.value; }) defs);
        inherit (to) emptyValue getSubOptions getSubModules;
        substSubModules = m: coercedTo from convert (to.substSubModules m);
        typeMerge = _: null;
        nestedTypes = {
          coercedType = from;
          finalType = to;
        };
      };

    uniq = type: type // {
      name = "unique";
      merge = loc: defs: builtins.seq (mergeOne loc defs) (type.merge loc defs);
    };
    unique =
      { message }:
      type:
      type
      // {
        name = "unique";
        merge =
          loc: defs:
          if length defs == 1 then
            type.merge loc defs
          else
            throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${showDefs defs}";
      };

    addCheck = type: check: type // { check = v: type.check v && check v; };

    # A module that is evaluated elsewhere: definitions are collected, not looked at.
    deferredModule = mkOptionType {
      name = "deferredModule";
      description = "module";
      check = v: isAttrs v || isFunction v || builtins.isPath v || isString v;
      merge = loc: defs: {
        imports = map (d: {
          _file = "${d.file}, via option ${showOption loc}";
          imports = [ d.value ];
        }) defs;
      };
    };

    submodule =
      modules:
      submoduleWith {
        shorthandOnlyDefinesConfig = true;
        modules = if isList modules then modules else [ modules ];
      };

    # Options of its own inside: every definition is a module of a small
    # evaluation, and `name` is the attribute it stands under.
    submoduleWith =
      {
        modules,
        specialArgs ? { },
        shorthandOnlyDefinesConfig ? false,
        description ? null,
      }@args:
      let
        inherit (import ./modules.nix) evalModules;
        asModule =
          d:
          if isAttrs d.value && shorthandOnlyDefinesConfig then
            {
              _file = d.file;
              config = d.value;
            }
          else
            {
              _file = d.file;
              imports = [ d.value ];
            };
        last = list: builtins.elemAt list (length list - 1);
        # `name` is an argument of lowest priority: a submodule may set its own.
        named = loc: { _module.args.name = mkOverride 1500 (if loc == [ ] then "" else last loc); };
        evaluate =
          loc: more:
          evalModules {
            modules = modules ++ [ (named loc) ] ++ more;
            inherit specialArgs;
            prefix = loc;
          };
        base = evalModules {
          modules = modules ++ [ { _module.args.name = mkOverride 1500 "‹name›"; } ];
          inherit specialArgs;
        };
      in
      mkOptionType {
        name = "submodule";
        description = if description != null then description else "submodule";
        check = v: isAttrs v || isFunction v || builtins.isPath v;
        merge = loc: defs: (evaluate loc (map asModule defs)).config;
        emptyValue.value = { };
        getSubOptions =
          prefix:
          (evalModules {
            modules = modules ++ [ { _module.args.name = mkOverride 1500 "‹name›"; } ];
            inherit specialArgs prefix;
          }).options;
        getSubModules = modules;
        substSubModules = m: submoduleWith (args // { modules = m; });
        typeMerge =
          other:
          if other.name == "submodule" && other.nestedTypes.specialArgs == specialArgs then
            submoduleWith (args // { modules = modules ++ other.getSubModules; })
          else
            null;
        nestedTypes = {
          inherit specialArgs;
          freeformType = base._module.freeformType;
        };
      };
  };
in
types
