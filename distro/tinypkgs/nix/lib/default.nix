# The part of nixpkgs' lib that tinypkgs and distributions on it need.
let
  lib = builtins // {
    # Fixed points and overlays.
    fix = f: let x = f x; in x;
    extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
    composeExtensions =
      f: g: final: prev:
      let
        fApplied = f final prev;
      in
      fApplied // g final (prev // fApplied);
    composeManyExtensions = lib.foldr lib.composeExtensions (_: _: { });

    # Functions.
    id = x: x;
    flip = f: a: b: f b a;
    const = x: _: x;
    pipe = builtins.foldl' (x: f: f x);
    functionArgs = f: f.__functionArgs or (builtins.functionArgs f);
    setFunctionArgs = f: args: {
      __functor = _: f;
      __functionArgs = args;
    };
    warn = msg: builtins.trace "warning: ${msg}";
    warnIf = cond: msg: if cond then lib.warn msg else lib.id;
    throwIf = cond: msg: if cond then throw msg else lib.id;
    throwIfNot = cond: lib.throwIf (!cond);
    assertMsg = cond: msg: cond || throw msg;
    trivial = { inherit (lib) id flip const pipe; };

    # override, overrideAttrs and callPackage.
    makeOverridable =
      f: args:
      let
        result = f args;
        overrideArgs = new: lib.makeOverridable f (args // (if builtins.isFunction new then new args else new));
        again = g: lib.makeOverridable (a: g (f a)) args;
      in
      if builtins.isAttrs result then
        result
        // {
          override = overrideArgs;
        }
        // lib.optionalAttrs (result ? overrideAttrs) {
          overrideAttrs = new: again (r: r.overrideAttrs new);
        }
      else if builtins.isFunction result then
        lib.setFunctionArgs result (lib.functionArgs result) // { override = overrideArgs; }
      else
        result;
    callPackageWith =
      scope: fn: args:
      let
        f = if builtins.isPath fn || builtins.isString fn then import fn else fn;
        wanted = lib.functionArgs f;
        found = builtins.intersectAttrs wanted scope // args;
        missing = builtins.filter (n: !wanted.${n} && !(found ? ${n})) (builtins.attrNames wanted);
        place = if builtins.isPath fn then " of ${toString fn}" else "";
      in
      if missing == [ ] then
        lib.makeOverridable f found
      else
        abort "callPackage: there is no package for the argument '${builtins.head missing}'${place}";

    # Attribute sets.
    optionalAttrs = cond: set: if cond then set else { };
    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: f: builtins.listToAttrs (map (n: lib.nameValuePair n (f n)) names);
    mapAttrs' = f: set: builtins.listToAttrs (map (n: f n set.${n}) (builtins.attrNames set));
    mapAttrsToList = f: set: map (n: f n set.${n}) (builtins.attrNames set);
    filterAttrs = pred: set: removeAttrs set (builtins.filter (n: !pred n set.${n}) (builtins.attrNames set));
    recursiveUpdate =
      a: b:
      a
      // builtins.mapAttrs (
        n: v: if builtins.isAttrs v && builtins.isAttrs (a.${n} or null) && !lib.isDerivation v then lib.recursiveUpdate a.${n} v else v
      ) b;
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if builtins.isAttrs set && set ? ${builtins.head path} then
        lib.attrByPath (builtins.tail path) default set.${builtins.head path}
      else
        default;
    hasAttrByPath = path: set: path == [ ] || (builtins.isAttrs set && set ? ${builtins.head path} && lib.hasAttrByPath (builtins.tail path) set.${builtins.head path});
    setAttrByPath = path: value: if path == [ ] then value else { ${builtins.head path} = lib.setAttrByPath (builtins.tail path) value; };
    getAttrFromPath = path: set: lib.attrByPath path (throw "there is no attribute ${lib.concatStringsSep "." path}") set;
    isDerivation = v: builtins.isAttrs v && v.type or null == "derivation";
    recurseIntoAttrs = set: set // { recurseForDerivations = true; };

    # Lists.
    foldr = f: z: list: let go = n: if n == builtins.length list then z else f (builtins.elemAt list n) (go (n + 1)); in go 0;
    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    singleton = x: [ x ];
    toList = x: if builtins.isList x then x else [ x ];
    flatten = x: if builtins.isList x then builtins.concatMap lib.flatten x else [ x ];
    unique = builtins.foldl' (acc: x: if builtins.elem x acc then acc else acc ++ [ x ]) [ ];
    range = a: b: if a > b then [ ] else builtins.genList (n: a + n) (b - a + 1);
    imap0 = f: list: builtins.genList (n: f n (builtins.elemAt list n)) (builtins.length list);
    imap1 = f: list: builtins.genList (n: f (n + 1) (builtins.elemAt list n)) (builtins.length list);
    last = list: builtins.elemAt list (builtins.length list - 1);
    init = list: builtins.genList (builtins.elemAt list) (builtins.length list - 1);
    reverseList = list: let n = builtins.length list; in builtins.genList (i: builtins.elemAt list (n - i - 1)) n;
    findFirst = pred: default: list: let found = builtins.filter pred list; in if found == [ ] then default else builtins.head found;
    remove = x: builtins.filter (y: y != x);
    subtractLists = xs: builtins.filter (y: !builtins.elem y xs);
    intersectLists = xs: builtins.filter (y: builtins.elem y xs);
    sortOn = f: builtins.sort (a: b: f a < f b);

    # Strings.
    optionalString = cond: s: if cond then s else "";
    concatStrings = lib.concatStringsSep "";
    concatMapStrings = f: list: lib.concatStrings (map f list);
    concatMapStringsSep = sep: f: list: lib.concatStringsSep sep (map f list);
    concatImapStringsSep = sep: f: list: lib.concatStringsSep sep (lib.imap1 f list);
    concatLines = lib.concatMapStrings (s: s + "\n");
    hasPrefix = p: s: builtins.substring 0 (builtins.stringLength p) s == p;
    hasSuffix =
      p: s:
      let
        n = builtins.stringLength s;
        m = builtins.stringLength p;
      in
      n >= m && builtins.substring (n - m) m s == p;
    hasInfix = p: s: builtins.length (builtins.split (lib.escapeRegex p) s) > 1;
    removePrefix = p: s: if lib.hasPrefix p s then builtins.substring (builtins.stringLength p) (builtins.stringLength s) s else s;
    removeSuffix = p: s: if lib.hasSuffix p s then builtins.substring 0 (builtins.stringLength s - builtins.stringLength p) s else s;
    stringToCharacters = s: builtins.genList (n: builtins.substring n 1 s) (builtins.stringLength s);
    escape = list: builtins.replaceStrings list (map (c: "\\${c}") list);
    escapeRegex = lib.escape (lib.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = x: let s = toString x; in if builtins.match "[[:alnum:],._+:@%/-]+" s != null then s else "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] s}'";
    escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
    splitString = sep: s: builtins.filter builtins.isString (builtins.split (lib.escapeRegex sep) s);
    trim = s: let m = builtins.match "[[:space:]]*(.*[^[:space:]])[[:space:]]*" s; in if m == null then "" else builtins.head m;
    fileContents = file: lib.removeSuffix "\n" (builtins.readFile file);
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    boolToString = b: if b then "true" else "false";
    toUpper = builtins.replaceStrings (lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz") (lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    toLower = builtins.replaceStrings (lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz");

    # Versions and packages.
    versionOlder = a: b: builtins.compareVersions b a == 1;
    versionAtLeast = a: b: !lib.versionOlder a b;
    getName = p: if builtins.isString p then (builtins.parseDrvName p).name else p.pname or (builtins.parseDrvName p.name).name;
    getVersion = p: if builtins.isString p then (builtins.parseDrvName p).version else p.version or (builtins.parseDrvName p.name).version;
    makeBinPath = packages: lib.concatMapStringsSep ":" (p: "${p}/bin") (builtins.filter (p: p != null) packages);
    makeLibraryPath = packages: lib.concatMapStringsSep ":" (p: "${p}/lib") (builtins.filter (p: p != null) packages);
    getBin = p: p.bin or p.out or p;
    getLib = p: p.lib or p.out or p;
    getDev = p: p.dev or p.out or p;
    getExe = p: "${p}/bin/${p.meta.mainProgram or (lib.getName p)}";
    getExe' = p: name: "${p}/bin/${name}";
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fakeSha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    licenses = lib.genAttrs [ "gpl2Only" "gpl2Plus" "gpl3Only" "gpl3Plus" "lgpl21Plus" "mit" "bsd2" "bsd3" "bsdOriginal" "mpl20" "asl20" "free" "unfree" ] (spdx: { shortName = spdx; free = spdx != "unfree"; });
    platforms = {
      linux = [ "x86_64-linux" ];
      unix = [ "x86_64-linux" ];
      all = [ "x86_64-linux" ];
    };
    maintainers = { };
  };
in
lib
// import ./properties.nix
// import ./modules.nix
// { types = import ./types.nix; }
