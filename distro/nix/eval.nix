# What asterbot asks of an entry. Every answer is a string of JSON, so that the
# one that asks has a single form to read, and every question names an attribute by its place
# in the sorted list of names, so that no name of the repository's is ever
# part of an expression.
let
  inherit (builtins)
    attrNames
    attrValues
    elemAt
    fromJSON
    functionArgs
    hashString
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    readFile
    removeAttrs
    toJSON
    tryEval
    typeOf
    unsafeDiscardStringContext
    unsafeGetAttrPos
    ;

  given = fromJSON (readFile ./arguments.json);
  path = s: /. + s;
  pathOrNull = s: if s == "" then null else path s;

  # The folder that holds the stub is named alike on both sides, and so is the stub.
  stub = {
    image = ./asterbot-stub-kernel;
    params = [ ];
  };
  kernelOf =
    k:
    {
      image = path k.image;
    }
    // (if k.params == null then { } else { inherit (k) params; })
    // (if k.initrd == "" then { } else { initrd = path k.initrd; })
    // (if k.modules == "" then { } else { modules = path k.modules; })
    // (if k.profile == "" then { } else { inherit (k) profile; })
    // (if k.protocol == "" then { } else { inherit (k) protocol; });

  entry = import (path given.entry);
  wanted = if isFunction entry then functionArgs entry else { };
  optional = {
    nixpkgs = pathOrNull given.nixpkgs;
    repo = path given.repo;
    inherit (given) release;
  };
  call =
    kernel:
    if isFunction entry then
      entry (
        {
          inherit kernel;
          inherit (given) system;
        }
        // (if wanted == { } then optional else builtins.intersectAttrs wanted optional)
      )
    else
      entry;

  under =
    if given.own then
      null
    else if given.kernel != null then
      kernelOf given.kernel
    else
      stub // (if given.profile == "" then { } else { inherit (given) profile; });
  result = call under;
  own = call null;

  sets = {
    package = result.packages or { };
    image = result.images or { };
    suite = result.suites or { };
    kernel = if own ? kernel then { inherit (own) kernel; } else { };
  };
  names = {
    package = attrNames sets.package;
    image = attrNames sets.image;
    suite = attrNames sets.suite;
    kernel = attrNames sets.kernel;
  };
  valueOf = kind: i: sets.${kind}.${elemAt names.${kind} i};

  # A string, or nothing: what a package says of itself may be anything.
  text =
    v:
    let
      t = tryEval v;
    in
    if t.success && isString t.value then unsafeDiscardStringContext t.value else "";

  # What of meta can be written down. Positions move with every comment, and a
  # path is the place of a checkout.
  plain =
    depth: v:
    let
      t = tryEval v;
    in
    if !t.success then
      "throws"
    else if isString t.value then
      unsafeDiscardStringContext t.value
    else if isInt t.value || isBool t.value || isFloat t.value || t.value == null then
      t.value
    else if depth == 0 || isPath t.value then
      typeOf t.value
    else if isList t.value then
      map (plain (depth - 1)) t.value
    else if isAttrs t.value then
      (
        if (t.value.type or null) == "derivation" then
          text (t.value.name or "")
        else
          builtins.mapAttrs (_: plain (depth - 1)) (removeAttrs t.value [ "position" ])
      )
    else
      typeOf t.value;

  isDerivation = v: isAttrs v && (v.type or null) == "derivation";

  outputsOf =
    v:
    let
      one = {
        out = v.outPath;
      };
    in
    if !(v ? outputs) then
      one
    else
      listToAttrs (
        map (o: {
          name = o;
          value = if v ? ${o} then v.${o}.outPath else v.outPath;
        }) v.outputs
      );

  metaOf =
    v:
    let
      meta = v.meta or { };
    in
    {
      name = text (v.name or "");
      pname = text (v.pname or "");
      version = text (v.version or "");
      description = text (meta.description or "");
      position = text (meta.position or "");
      hash = hashString "sha256" (toJSON (plain 5 meta));
    };

  describe =
    withMeta: v:
    if isAttrs v && v ? unavailable && !(isDerivation v) then
      { unavailable = v.unavailable; }
    else if !(isDerivation v) then
      { not = typeOf v; }
    else
      let
        built = {
          drv = v.drvPath;
          outputs = outputsOf v;
        };
      in
      # The trace says that only meta is left, should it fail.
      if withMeta then
        builtins.deepSeq built (builtins.trace "asterbot: meta" (built // { meta = metaOf v; }))
      else
        built;

  suiteOf = v: removeAttrs v [ "system" ];

  describers = {
    package = describe;
    image =
      withMeta: v:
      describe withMeta v // (if isDerivation v && v ? asterbot then { suite = v.asterbot; } else { });
    suite =
      withMeta: v:
      if !(isAttrs v) then
        { not = typeOf v; }
      else if v ? unavailable then
        { unavailable = v.unavailable; }
      else if !(v ? system) then
        { not = "suite without a system"; }
      else
        describe withMeta v.system // { suite = suiteOf v; };
    kernel =
      withMeta: v:
      let
        k = if isAttrs v && !(isDerivation v) then v else { image = v; };
        rest = removeAttrs k [ "image" ];
        described =
          if isDerivation k.image then
            describe withMeta k.image
          else
            {
              drv = "";
              outputs.out = "${k.image}";
            };
      in
      described
      // {
        meta = (described.meta or { }) // {
          hash = hashString "sha256" (
            toJSON (builtins.mapAttrs (_: x: if isDerivation x || isPath x then "${x}" else plain 5 x) rest)
          );
        };
        profile = text (k.profile or "");
      };
  };

  # Where an attribute is defined: by the overlay that set it, where the entry shows
  # its package set, else by the entry.
  positionOf =
    kind: i:
    let
      name = elemAt names.${kind} i;
      pkgs = if kind == "package" then result.pkgs or { } else { };
    in
    {
      overlay = if pkgs ? ${name} then unsafeGetAttrPos name pkgs else null;
      entry = unsafeGetAttrPos name sets.${kind};
    };

  drvOf = kind: v: if kind == "suite" then v.system else if kind == "kernel" then (v.image or v) else v;

  answer = withMeta: kind: i: describers.${kind} withMeta (valueOf kind i);
in
{
  names = kind: toJSON names.${kind};
  name = kind: i: toJSON (elemAt names.${kind} i);
  attr = kind: i: toJSON (answer true kind i);
  # The same where meta is what fails.
  bare = kind: i: toJSON (answer false kind i);
  # The places of an attribute and of arguments of its derivation.
  where =
    kind: i: fields:
    let
      v = drvOf kind (valueOf kind i);
    in
    toJSON (
      positionOf kind i
      // {
        meta = text (v.meta.position or "");
        fields = map (f: if isAttrs v && v ? ${f} then unsafeGetAttrPos f v else null) fields;
      }
    );
  # The same of a package that the entry shows without promising it. Derivations'
  # names are safe in an expression.
  find =
    name: fields:
    let
      pkgs = result.pkgs or { };
      v = pkgs.${name} or null;
    in
    toJSON (
      if isDerivation v then
        {
          drv = v.drvPath;
          overlay = unsafeGetAttrPos name pkgs;
          entry = null;
          meta = text (v.meta.position or "");
          fields = map (f: if v ? ${f} then unsafeGetAttrPos f v else null) fields;
        }
      else
        { }
    );
  # All at once, but for what is known to fail.
  all =
    let
      known = fromJSON (readFile ./failing.json);
      of =
        kind:
        let
          failing = listToAttrs (
            map (n: {
              name = n;
              value = true;
            }) (known.${kind} or [ ])
          );
          pick = i: if failing ? ${elemAt names.${kind} i} then null else answer true kind i;
        in
        builtins.genList pick (length names.${kind});
    in
    toJSON {
      package = of "package";
      image = of "image";
      suite = of "suite";
      kernel = of "kernel";
    };
}
