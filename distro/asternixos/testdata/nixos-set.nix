# A package set for evaluating AsterNixOS under NixOS's own modules: the packages of corepkgs, a folder that
# holds nixpkgs' `nixos`, and in place of every package that corepkgs lacks one of its name that cannot be built.
# What evaluates here has its options, types, merges and assertions right; that its packages build is not shown.
{
  corepkgs, # a checkout of ekala-project/corepkgs, whose pins.nix names a local library
  folder, # the folder of this set: it has nixpkgs' nixos/
  system ? "x86_64-linux",
  config ? { },
  overlays ? [ ],
}:
let
  core = import corepkgs { inherit system config overlays; };

  # Scopes with nixpkgs' names, which corepkgs has not, for the overlay that changes packages in them.
  scope =
    names:
    lib.makeScope core.newScope (
      _:
      lib.genAttrs names (
        pname:
        lib.makeOverridable (
          _:
          core.stdenv.mkDerivation {
            inherit pname;
            version = "99";
            meta.mainProgram = pname;
            passthru.xinitrc = "xinitrc";
          }
        ) { }
      )
    );
  desktops = lib.foldl' (prev: overlay: prev // overlay pkgs prev) {
    xorg = scope (names ./nixos-stubs-xorg.json);
    xfce = scope (names ./nixos-stubs-xfce.json);
  } overlays;
  names = file: builtins.fromJSON (builtins.readFile file);

  # Names that corepkgs' library has lost: builtins, one of which its own functions use, and what nixpkgs' modules ask for.
  lib = core.lib.extend (
    _: prev:
    builtins
    // prev
    // {
      inherit (builtins) isPath;
      oldestSupportedReleaseIsAtLeast = _: false;
      trivial = prev.trivial // {
        release = "25.05";
        codeName = "Warbler";
        versionSuffix = "";
        revisionWithDefault = default: default;
      };
    }
  );

  stub =
    name:
    let
      self = derivation {
        inherit name system;
        builder = "/this package is a stub";
      }
      // {
        pname = name;
        version = "99";
        meta = {
          mainProgram = name;
          description = name;
          license = [ ];
          platforms = [ system ];
        };
        passthru = { };
        override = _: self;
        customize = _: self;
        grubTarget = "x86_64-efi";
        overrideAttrs = _: self;
      };
    in
    self;
  stubs = names: lib.genAttrs names stub;

  # What nixpkgs' settings formats accept, all of them alike.
  format = {
    type = value;
    generate = name: v: stub name // { text = builtins.toJSON v; };
  };
  value =
    with lib.types;
    nullOr (oneOf [
      bool
      int
      float
      str
      path
      (attrsOf value)
      (listOf value)
    ])
    // {
      description = "value";
    };

  pkgs =
    stubs (names ./nixos-stubs.json)
    // core
    // {
      inherit (desktops) xorg xfce;
      inherit lib;
      _type = "pkgs";
      path = toString folder;
      appendOverlays =
        more:
        if more == [ ] then
          pkgs
        else
          import ./nixos-set.nix {
            inherit corepkgs folder system config;
            overlays = overlays ++ more;
          };
      buildPackages = pkgs;
      callPackage = lib.callPackageWith pkgs;
      xfsprogs = stub "xfsprogs" // { bin = stub "xfsprogs"; };
      gtk3 = stub "gtk3"; # corepkgs' own asks for what corepkgs lacks
      compressFirmwareZstd = firmware: firmware;
      gnome.gvfs = stub "gvfs";
      gnome._gdkPixbufCacheBuilder_DO_NOT_USE = _: stub "gdk-pixbuf-loaders";
      makeDBusConf = _: stub "dbus-1";
      aggregateModules = _: stub "kernel-modules";
      udisks2 = stub "udisks2" // { libblockdev = stub "libblockdev"; };
      __splicedPackages = pkgs;
      formats = lib.genAttrs [ "gitIni" "hocon" "ini" "iniWithGlobalSection" "json" "keyValue" "libconfig" "lua" "systemd" "toml" "yaml" ] (_: _: format);
      # As nixpkgs defines it.
      nixos =
        configuration:
        let
          eval = import "${toString folder}/nixos/lib/eval-config.nix" {
            inherit lib;
            system = null;
            modules = [
              {
                nixpkgs.pkgs = lib.mkDefault pkgs;
                # Its sources are not among nixpkgs' modules.
                documentation.nixos.enable = lib.mkForce false;
                boot.supportedFilesystems.zfs = lib.mkForce false;
              }
            ]
            ++ (if builtins.isList configuration then configuration else [ configuration ]);
          };
        in
        eval.config.system.build // eval;
    };
in
pkgs
