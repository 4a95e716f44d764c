# Modules: options declared in one place and defined in others.
#
#   evalModules { modules = [ ./a.nix { networking.hostName = "x"; } ]; specialArgs.lib = lib; }
#
# gives `config`, the values, and `options`, what is known of each. The
# semantics are those of nixpkgs' `lib.evalModules` for what is here, so that
# the same modules give the same configuration under both; messages name
# the option, the files and all definitions.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    functionArgs
    genericClosure
    hasAttr
    head
    isAttrs
    isFunction
    isList
    length
    listToAttrs
    map
    mapAttrs
    removeAttrs
    toString
    ;

  properties = import ./properties.nix;
  inherit (properties)
    isOption
    isType
    mkOption
    mkOverride
    mkOptionDefault
    ;
  inherit (import ./show.nix) showDefs showFiles showOption;
  definitions = import ./definitions.nix;
  types = import ./types.nix;

  reverse = list: foldl' (rest: x: [ x ] ++ rest) [ ] list;

  # Attributes that are about a module and not part of its configuration.
  moduleKeys = [
    "_class"
    "_file"
    "disabledModules"
    "freeformType"
    "imports"
    "key"
    "require"
  ];
  structuredKeys = moduleKeys ++ [
    "config"
    "meta"
    "options"
  ];

  # Written in either form, a module is `{ file, key, disabled, imports, options, config }`.
  structure =
    file: key: m:
    let
      file' = toString (m._file or file);
      merged =
        config:
        if m ? freeformType then
          properties.mkMerge [
            config
            { _module.freeformType = m.freeformType; }
          ]
        else
          config;
      unknown = attrNames (removeAttrs m structuredKeys);
      basics = {
        file = file';
        key = toString (m.key or key);
        disabled = m.disabledModules or [ ];
        imports = m.require or [ ] ++ m.imports or [ ];
      };
    in
    if !(isAttrs m) then
      throw "Module `${file'}' is not an attribute set, nor a function that gives one."
    else if m ? config || m ? options then
      if unknown != [ ] then
        throw "Module `${file'}' has an unsupported attribute `${head unknown}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString unknown}) into the explicit `config' attribute."
      else
        basics
        // {
          options = m.options or { };
          config = merged (m.config or { });
        }
    else
      basics
      // {
        options = { };
        config = merged (removeAttrs m moduleKeys);
      };

  # A function gets what it names, and `args` of the evaluation for the rest:
  # lazily, since most of it depends on the configuration.
  apply =
    args: key: f:
    let
      wanted = functionArgs f;
      missing = mapAttrs (
        name: _:
        builtins.addErrorContext "while evaluating the module argument `${name}' in \"${key}\":" (
          args.${name} or args.config._module.args.${name}
        )
      ) wanted;
    in
    f (args // missing);

  load =
    args: fallbackFile: fallbackKey: m:
    if isFunction m then
      structure fallbackFile fallbackKey (apply args fallbackKey m)
    else if isAttrs m && m ? __functor then
      structure fallbackFile fallbackKey (apply args fallbackKey (m.__functor m))
    else if isAttrs m then
      if m ? _type && m._type != "module" then
        if elem m._type [
          "if"
          "override"
          "merge"
        ] then
          structure fallbackFile fallbackKey { config = m; }
        else
          throw "Expected a module, but found a value of type `${m._type}', while trying to load a module into `${fallbackFile}'."
      else
        structure fallbackFile fallbackKey m
    else if isList m then
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Found in `${fallbackFile}'."
    else
      let
        file = toString m;
        imported = import m;
      in
      structure file file (if isFunction imported then apply args file imported else imported);

  # All modules: those given and, level by level, what they import, each once.
  collect =
    args: modules:
    let
      keyed =
        parentFile: parentKey: ms:
        let
          number = foldl' (a: m: { n = a.n + 1; out = a.out ++ [ { inherit m; inherit (a) n; } ]; }) { n = 1; out = [ ]; } ms;
        in
        map (
          { n, m }:
          let
            module = load args parentFile "${parentKey}:anon-${toString n}" m;
          in
          {
            inherit (module) key;
            inherit module;
          }
        ) number.out;
      closure = genericClosure {
        startSet = keyed "<unknown-file>" "" modules;
        operator = { module, ... }: keyed module.file module.key module.imports;
      };
      found = map (e: e.module) closure;
      disabledKey =
        d:
        if isAttrs d && d ? key then
          d.key
        else if builtins.isString d && builtins.substring 0 1 d != "/" then
          "${toString (args.modulesPath or "")}/${d}"
        else
          toString d;
      disabled = concatMap (m: map disabledKey m.disabled) found;
    in
    if disabled == [ ] then found else map (e: e.module) (genericClosure {
      # Once more without the disabled ones, so that what only they import goes, too.
      startSet = filter (e: !(elem e.key disabled)) (keyed "<unknown-file>" "" modules);
      operator =
        { module, ... }:
        filter (e: !(elem e.key disabled)) (keyed module.file module.key module.imports);
    });

  # A wrapper around a set of definitions becomes a wrapper around each of them.
  pushDown =
    value:
    if isType "merge" value then
      concatMap pushDown value.contents
    else if isType "if" value then
      map (mapAttrs (_: properties.mkIf value.condition)) (pushDown value.content)
    else if isType "override" value then
      map (mapAttrs (_: mkOverride value.priority)) (pushDown value.content)
    else if isType "order" value then
      map (mapAttrs (_: properties.mkOrder value.priority)) (pushDown value.content)
    else
      [ value ];

  # name -> [ { file, value } ], of definitions that are sets.
  byName =
    loc: defs:
    let
      flat = concatMap (
        d:
        map (
          value:
          if isAttrs value then
            {
              inherit (d) file;
              inherit value;
            }
          else
            throw "In module `${d.file}', ${
              if loc == [ ] then "the configuration" else "`${showOption loc}'"
            } is not an attribute set, but ${builtins.typeOf value}; options are defined inside of it."
        ) (pushDown d.value)
      ) defs;
    in
    builtins.zipAttrsWith (_: found: found) (
      map (d: mapAttrs (_: value: { inherit (d) file; inherit value; }) d.value) flat
    );

  # Declarations and definitions below `loc`: the tree of options with values,
  # and the definitions nothing declares.
  mergeTree =
    loc: declarations: defs:
    let
      declared = builtins.zipAttrsWith (_: found: found) (
        map (
          d:
          if isAttrs d.options then
            mapAttrs (_: options: { inherit (d) file; inherit options; }) d.options
          else
            throw "In module `${d.file}', the options below `${showOption loc}' are not an attribute set."
        ) declarations
      );
      defined = byName loc defs;
      one =
        name: decls:
        let
          here = loc ++ [ name ];
          found = defined.${name} or [ ];
          options = filter (d: isOption d.options) decls;
          sets = filter (d: !(isOption d.options)) decls;
        in
        if options == [ ] then
          mergeTree here sets found
        else if sets == [ ] then
          {
            matched = evalOption here (declare here options) found;
            unmatched = [ ];
          }
        else if all (d: (d.options.type.getSubModules or null) != null) options then
          {
            # Options declared below an option of submodule type extend the submodule.
            matched = evalOption here (declare here (options ++ map (d: {
              inherit (d) file;
              options = mkOption {
                type = types.submoduleWith { modules = [ { _file = d.file; inherit (d) options; } ]; shorthandOnlyDefinesConfig = true; };
              };
            }) sets)) found;
            unmatched = [ ];
          }
        else
          throw "The option `${showOption here}' in `${(head options).file}' would be a parent of the following options, but its type `${
            (head options).options.type.description or "unspecified value"
          }' does not support nested options:${
            concatStringsSep "" (
              concatMap (d: map (n: "\n- option(s) with prefix `${showOption (here ++ [ n ])}' in module `${d.file}'") (attrNames d.options)) sets
            )
          }";
      results = mapAttrs one declared;
      here = concatMap (
        name:
        if hasAttr name declared then
          [ ]
        else
          map (d: {
            inherit (d) file value;
            prefix = loc ++ [ name ];
          }) defined.${name}
      ) (attrNames defined);
    in
    {
      matched = mapAttrs (_: r: r.matched) results;
      unmatched = here ++ concatMap (name: results.${name}.unmatched) (attrNames results);
    };

  # Several declarations of one option become one, where they fit.
  declare =
    loc: decls:
    foldl' (
      a: d:
      let
        o = d.options;
        both = name: a ? ${name} && o ? ${name};
        clash = name: throw "The option `${showOption loc}' in `${d.file}' is already declared in ${showFiles a.declarations}, with another `${name}'.";
        merged = if both "type" then a.type.typeMerge o.type else null;
      in
      (if both "default" then clash "default" else if both "apply" then clash "apply" else a)
      // removeAttrs o [ "_type" ]
      // {
        declarations = a.declarations ++ [ d.file ];
        ${if both "type" then "type" else null} =
          if merged == null then
            throw "The option `${showOption loc}' in `${d.file}' is already declared in ${showFiles a.declarations}, with a type that does not fit: `${o.type.description}' and `${a.type.description}'."
          else
            merged;
      }
    ) { declarations = [ ]; } decls;

  evalOption =
    loc: declaration: defs:
    let
      type = declaration.type or types.unspecified;
      withDefault =
        if declaration ? default then
          [
            {
              file = head declaration.declarations;
              value = mkOptionDefault declaration.default;
            }
          ]
          ++ defs
        else
          defs;
      checkedDefs =
        if declaration.readOnly or false && length withDefault > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs withDefault}"
        else
          withDefault;
      merged = definitions.merge loc type checkedDefs;
      value = if declaration ? apply then declaration.apply merged.mergedValue else merged.mergedValue;
    in
    declaration
    // {
      _type = "option";
      inherit loc type;
      inherit (merged) isDefined highestPrio;
      files = map (d: d.file) merged.defs;
      definitions = map (d: d.value) merged.defs;
      definitionsWithLocations = merged.defs;
      value = builtins.addErrorContext "while evaluating the option `${showOption loc}':" value;
      __toString = _: showOption loc;
    };

  values = tree: mapAttrs (_: o: if isOption o then o.value else values o) tree;

  setAt = path: value: if path == [ ] then value else { ${head path} = setAt (builtins.tail path) value; };

  recursiveUpdate =
    a: b:
    a
    // mapAttrs (
      n: v: if isAttrs v && isAttrs (a.${n} or null) && !(v ? type && v.type == "derivation") then recursiveUpdate a.${n} v else v
    ) b;

  dropPrefix = n: list: if n == 0 then list else dropPrefix (n - 1) (builtins.tail list);

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      class ? null,
    }@call:
    let
      internal = {
        _file = "<module system>";
        key = "<module system>";
        options._module = {
          args = mkOption {
            type = types.lazyAttrsOf types.raw;
            description = "Arguments that modules can ask for by name.";
          };
          check = mkOption {
            type = types.bool;
            default = true;
            description = "Whether a definition of an option that does not exist is an error.";
          };
          freeformType = mkOption {
            type = types.nullOr types.raw;
            default = null;
            description = "The type that takes the definitions no option takes.";
          };
          specialArgs = mkOption {
            readOnly = true;
            description = "Arguments that are known before any configuration is.";
          };
        };
        config._module = {
          args = {
            inherit extendModules;
            moduleType = type;
          };
          inherit specialArgs;
        };
      };

      args = {
        inherit options specialArgs;
        config = builtins.addErrorContext "if this is an infinite recursion, `imports' probably depends on `config': import always, and let `mkIf' decide what takes effect" config;
        lib = specialArgs.lib or (import ./default.nix);
      }
      // specialArgs;

      # Later modules come first, so what imports something is after it.
      collected = reverse (collect args (modules ++ [ internal ]));
      tree = mergeTree prefix (map (m: { inherit (m) file options; }) collected) (
        map (m: {
          inherit (m) file;
          value = m.config;
        }) collected
      );
      options = tree.matched;
      declaredConfig = values options;
      freeformType = declaredConfig._module.freeformType;
      freeform = freeformType.merge prefix (
        map (d: {
          inherit (d) file;
          value = setAt (dropPrefix (length prefix) d.prefix) d.value;
        }) tree.unmatched
      );
      config =
        if freeformType == null then
          declaredConfig
        else
          recursiveUpdate (if tree.unmatched == [ ] then { } else freeform) declaredConfig;

      checked =
        value:
        if declaredConfig._module.check && freeformType == null && tree.unmatched != [ ] then
          let
            first = head tree.unmatched;
            name = showOption first.prefix;
            known = filter (n: n != "_module") (attrNames options);
          in
          throw (
            "The option `${name}' does not exist. Definition values:${showDefs [ first ]}"
            + (
              if known == [ ] then
                "\n\nNo options are declared at all: was the option put into `config' rather than `options'?"
              else
                ""
            )
          )
        else
          value;

      extendModules =
        {
          modules ? [ ],
          specialArgs ? { },
          prefix ? null,
        }:
        evalModules (
          call
          // {
            modules = call.modules ++ modules;
            specialArgs = call.specialArgs or { } // specialArgs;
            prefix = if prefix != null then prefix else call.prefix or [ ];
          }
        );
      type = types.submoduleWith { inherit modules specialArgs; };
    in
    {
      _type = "configuration";
      config = checked (removeAttrs config [ "_module" ]);
      options = checked options;
      _module = checked config._module;
      inherit extendModules type class;
    };
in
{
  inherit evalModules;
}
