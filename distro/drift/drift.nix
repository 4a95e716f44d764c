# What overlays do to one package set: asked one package at a time, since what a package
# cannot be evaluated for is no reason not to look at the next.
#
#   list     overlay -> its packages, with the file and line of each
#   package  one package without and with the overlays; `from` is its name without
{ overlays, nixpkgs, system, path ? [ ], from ? path }:
let
  inherit (builtins) attrNames concatMap elemAt genList head isAttrs isFunction length map tail toString unsafeDiscardStringContext;

  given = import overlays;
  # Either { name; overlay; packages; } or an overlay by itself.
  entries = genList (
    n:
    let
      o = elemAt given n;
    in
    if isFunction o then
      {
        name = toString n;
        overlay = o;
        packages = attrNames (o plain plain);
      }
    else
      o
  ) (length given);

  set = import nixpkgs;
  with' =
    list:
    set {
      inherit system;
      config = { };
      overlays = list;
    };
  plain = with' [ ];
  all = with' (map (e: e.overlay) entries);

  split = s: builtins.filter builtins.isString (builtins.split "\\." s);
  find = path: pkgs: if path == [ ] then pkgs else if isAttrs pkgs && pkgs ? ${head path} then find (tail path) pkgs.${head path} else null;

  position =
    e: path:
    let
      pos = builtins.unsafeGetAttrPos (head path) (e.overlay plain plain);
    in
    if pos == null then { file = ""; line = 0; } else { inherit (pos) file line; };

  text = v: unsafeDiscardStringContext (toString v);
  describe =
    p:
    if p == null then
      null
    else
      {
        version = text (p.version or (builtins.parseDrvName (p.name or "")).version);
        drv = unsafeDiscardStringContext p.drvPath;
        # Where its source is, and the derivation that makes it, if one does.
        src = if p ? src then text p.src else "";
        srcDrv = if p ? src && isAttrs p.src && p.src ? drvPath then unsafeDiscardStringContext p.src.drvPath else "";
        patches = map (q: {
          path = text q;
          drv = if isAttrs q && q ? drvPath then unsafeDiscardStringContext q.drvPath else "";
        }) (p.patches or [ ]);
      };
in
{
  list = concatMap (
    e:
    map (p: {
      overlay = e.name;
      package = p;
      path = split p;
      # A package under a name of its own is compared with the one it is made from.
      from = split ((e.from or { }).${p} or p);
    }
    // position e (split p)) e.packages
  ) entries;

  package = {
    plain = describe (find from plain);
    ours = describe (find path all);
  };
}
