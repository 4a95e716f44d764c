# stdenv.mkDerivation: a derivation built in phases by build/setup.
{
  lib,
  system,
  toolchain,
  glibc,
}:
let
  platform = {
    inherit system;
    isLinux = true;
    isx86_64 = true;
    isDarwin = false;
  };

  # What a derivation is besides its environment.
  notEnvironment = [ "meta" "passthru" "pos" ];

  mkDerivation = arg: if builtins.isFunction arg then fromFinal arg else fromFinal (_: arg);

  # fromFinal: attributes as a function of the finished ones, so that overrideAttrs can reach back.
  fromFinal =
    rattrs:
    let
      attrs = rattrs (attrs // { finalPackage = package; });
      package = make rattrs attrs;
    in
    package;

  overrideWith =
    rattrs: new: final:
    let
      old = rattrs final;
      f = if builtins.isFunction new then new else _: new;
      applied = f final;
    in
    # Both nixpkgs' forms: old: {...} and final: prev: {...}.
    old // (if builtins.isFunction applied then applied old else f old);

  make =
    rattrs: attrs:
    let
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      outputs = attrs.outputs or [ "out" ];
      # As in nixpkgs: where the description is, else the version, else the name.
      pos =
        attrs.pos or (lib.findFirst (p: p != null) null [
          (builtins.unsafeGetAttrPos "description" attrs.meta or { })
          (builtins.unsafeGetAttrPos "version" attrs)
          (builtins.unsafeGetAttrPos "name" attrs)
        ]);
      drv = derivation (
        {
          inherit system toolchain glibc;
          builder = "${toolchain}/bin/bash";
          args = attrs.args or [ "-e" "${./build}/setup" ];
          # Where nix-shell looks for what defines the phases.
          stdenv = ./build;
          # The first second that FAT and zip can express.
          SOURCE_DATE_EPOCH = "315532800";
        }
        // removeAttrs attrs (notEnvironment ++ [ "args" ])
        // { inherit name outputs; }
      );
      meta =
        {
          inherit name;
          available = true;
          outputsToInstall = [ (builtins.head outputs) ];
        }
        // lib.optionalAttrs (pos != null) { position = "${pos.file}:${toString pos.line}"; }
        // attrs.meta or { };
      extra = {
        inherit meta;
        overrideAttrs = new: fromFinal (overrideWith rattrs new);
        passthru = attrs.passthru or { };
      } // attrs.passthru or { };
    in
    drv // extra;

  # configureCache { name; src; configureFlags; }: the answers of a package's own configure, which take
  # longer to find out than its programs to compile. It depends on the archive and the toolchain,
  # not on patches, so that a patched package asks nothing twice.
  configureCache =
    {
      name,
      src,
      configureFlags ? [ ],
    }:
    mkDerivation {
      name = "${name}-configure-cache";
      inherit src;
      configureFlags = configureFlags ++ [ "--cache-file=config.cache" ];
      dontBuild = true;
      dontFixup = true;
      installPhase = "grep -v '^ac_cv_env_' config.cache >$out";
    };
in
{
  inherit mkDerivation configureCache system;
  shell = "${toolchain}/bin/bash";
  cc = toolchain;
  hostPlatform = platform;
  buildPlatform = platform;
  targetPlatform = platform;
}
