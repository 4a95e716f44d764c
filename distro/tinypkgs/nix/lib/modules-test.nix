# What the module system does, as modules and the configuration they give.
#
# Run by modules_test.go with this library, and with nixpkgs' own where it is at
# hand: the same modules must give the same configuration under both.
lib:
let
  inherit (lib)
    mkAfter
    mkBefore
    mkDefault
    mkForce
    mkIf
    mkMerge
    mkOption
    mkOrder
    mkOverride
    types
    ;
  option = type: { options.a = mkOption { inherit type; }; };
  withDefault = type: default: { options.a = mkOption { inherit type default; }; };
  user = {
    options.users = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              name = mkOption { type = types.str; };
              home = mkOption { type = types.str; };
              groups = mkOption {
                type = types.listOf types.str;
                default = [ ];
              };
            };
            config = {
              name = mkDefault name;
              home = mkDefault "/home/${config.name}";
            };
          }
        )
      );
    };
  };
in
{
  # name -> modules and the value of `a` (or of all of config, where `whole`).
  values = {
    "a default holds until defined" = {
      modules = [ (withDefault types.int 1) ];
      expect = 1;
    };
    "a definition beats a default" = {
      modules = [
        (withDefault types.int 1)
        { a = 2; }
      ];
      expect = 2;
    };
    "mkDefault beats the option's default and loses against a definition" = {
      modules = [
        (withDefault types.int 1)
        { a = mkDefault 2; }
        { a = 3; }
      ];
      expect = 3;
    };
    "mkForce beats a definition" = {
      modules = [
        (option types.int)
        { a = mkForce 1; }
        { a = 2; }
      ];
      expect = 1;
    };
    "the lowest number wins" = {
      modules = [
        (option types.int)
        { a = mkOverride 49 3; }
        { a = mkForce 1; }
      ];
      expect = 3;
    };
    "forced lists are joined with each other only" = {
      modules = [
        (option (types.listOf types.int))
        { a = mkForce [ 1 ]; }
        { a = mkForce [ 2 ]; }
        { a = [ 3 ]; }
      ];
      expect = [ 2 1 ];
    };
    "lists are joined last module first" = {
      modules = [
        (option (types.listOf types.int))
        { a = [ 1 ]; }
        { a = [ 2 ]; }
      ];
      expect = [ 2 1 ];
    };
    "an imported module comes before the one that imports it" = {
      modules = [
        (option (types.listOf types.int))
        {
          imports = [
            { a = [ 2 ]; }
            { a = [ 3 ]; }
          ];
          a = [ 1 ];
        }
      ];
      expect = [ 3 2 1 ];
    };
    "a file is imported once" = {
      modules = [
        (withDefault (types.listOf types.int) [ ])
        {
          key = "k";
          a = [ 1 ];
        }
        {
          imports = [
            {
              key = "k";
              a = [ 1 ];
            }
          ];
        }
      ];
      expect = [ 1 ];
    };
    "mkOrder sorts, and the sorting is stable" = {
      modules = [
        (option (types.listOf types.int))
        { a = mkAfter [ 4 ]; }
        { a = [ 3 ]; }
        { a = [ 2 ]; }
        { a = mkBefore [ 1 ]; }
        { a = mkOrder 100 [ 0 ]; }
      ];
      expect = [ 0 1 2 3 4 ];
    };
    "lines are joined with newlines, in order" = {
      modules = [
        (option types.lines)
        { a = "second"; }
        { a = mkBefore "first"; }
        { a = mkAfter "third"; }
      ];
      expect = "first\nsecond\nthird";
    };
    "mkForce of an ordered definition" = {
      modules = [
        (option types.lines)
        { a = mkForce (mkAfter "b"); }
        { a = mkForce "a"; }
        { a = "no"; }
      ];
      expect = "a\nb";
    };
    "mkIf keeps and drops" = {
      modules = [
        (option (types.listOf types.int))
        { a = mkIf true [ 1 ]; }
        { a = mkIf false [ 2 ]; }
      ];
      expect = [ 1 ];
    };
    "mkIf may depend on the configuration it is part of" = {
      whole = true;
      modules = [
        (
          { config, ... }:
          {
            options.on = mkOption { type = types.bool; };
            options.a = mkOption { type = types.int; default = 0; };
            config = mkIf config.on { a = 1; };
          }
        )
        { on = true; }
      ];
      expect = {
        on = true;
        a = 1;
      };
    };
    "mkMerge of mkIf of mkMerge" = {
      modules = [
        (option (types.listOf types.int))
        {
          config = mkMerge [
            (mkIf true (mkMerge [
              { a = [ 1 ]; }
              { a = [ 2 ]; }
            ]))
            (mkIf false { a = [ 3 ]; })
          ];
        }
      ];
      expect = [ 1 2 ];
    };
    "mkForce around a set is pushed down to the options in it" = {
      whole = true;
      modules = [
        {
          options.a.b = mkOption { type = types.int; };
          options.a.c = mkOption { type = types.int; };
        }
        { config.a = mkForce { b = 1; }; }
        {
          a.b = 2;
          a.c = 3;
        }
      ];
      expect.a = {
        b = 1;
        c = 3;
      };
    };
    "a condition outside of a priority" = {
      modules = [
        (withDefault types.int 0)
        { a = mkIf true (mkForce 1); }
        { a = mkIf false (mkForce 2); }
        { a = 3; }
      ];
      expect = 1;
    };
    "attrsOf joins names and merges elements" = {
      modules = [
        (option (types.attrsOf (types.listOf types.int)))
        {
          a.x = [ 1 ];
          a.y = [ 2 ];
        }
        { a.x = [ 3 ]; }
      ];
      expect = {
        x = [ 3 1 ];
        y = [ 2 ];
      };
    };
    "attrsOf drops what a false condition defines" = {
      modules = [
        (option (types.attrsOf types.int))
        {
          a.x = mkIf false 1;
          a.y = 2;
        }
      ];
      expect.y = 2;
    };
    "lazyAttrsOf lets elements depend on each other" = {
      modules = [
        (option (types.lazyAttrsOf types.int))
        (
          { config, ... }:
          {
            a.x = config.a.y + 1;
            a.y = 1;
          }
        )
      ];
      expect = {
        x = 2;
        y = 1;
      };
    };
    "priorities hold per element" = {
      modules = [
        (option (types.attrsOf types.int))
        {
          a.x = mkDefault 1;
          a.y = mkForce 2;
        }
        {
          a.x = 3;
          a.y = 4;
        }
      ];
      expect = {
        x = 3;
        y = 2;
      };
    };
    "listOf drops elements that a false condition defines" = {
      modules = [
        (option (types.listOf types.int))
        {
          a = [
            1
            (mkIf false 2)
            (mkIf true 3)
          ];
        }
      ];
      expect = [ 1 3 ];
    };
    "a submodule knows its name and itself" = {
      whole = true;
      modules = [
        user
        {
          users.ada = { };
          users.bob.name = "robert";
          users.bob.groups = [ "wheel" ];
        }
        { users.bob.groups = [ "audio" ]; }
      ];
      expect.users = {
        ada = {
          name = "ada";
          home = "/home/ada";
          groups = [ ];
        };
        bob = {
          name = "robert";
          home = "/home/robert";
          groups = [ "wheel" "audio" ];
        };
      };
    };
    "a submodule's definition may be a function" = {
      whole = true;
      modules = [
        user
        { users.ada = { name, ... }: { home = "/srv/${name}"; }; }
      ];
      expect.users.ada = {
        name = "ada";
        home = "/srv/ada";
        groups = [ ];
      };
    };
    "a submodule declared twice has the options of both" = {
      modules = [
        (option (types.submodule { options.x = mkOption { type = types.int; }; }))
        (option (types.submodule { options.y = mkOption { type = types.int; default = 2; }; }))
        { a.x = 1; }
      ];
      expect = {
        x = 1;
        y = 2;
      };
    };
    "a free-form submodule takes what it does not declare" = {
      modules = [
        (option (
          types.submodule {
            freeformType = types.attrsOf types.str;
            options.n = mkOption { type = types.int; default = 1; };
          }
        ))
        { a.other = "x"; }
      ];
      expect = {
        n = 1;
        other = "x";
      };
    };
    "nullOr" = {
      modules = [
        (withDefault (types.nullOr types.int) null)
        { a = mkIf false 1; }
      ];
      expect = null;
    };
    "either takes the type that fits" = {
      modules = [
        (option (types.either types.int (types.listOf types.int)))
        { a = [ 1 ]; }
        { a = [ 2 ]; }
      ];
      expect = [ 2 1 ];
    };
    "oneOf" = {
      modules = [
        (option (types.oneOf [ types.bool types.int types.str ]))
        { a = "x"; }
      ];
      expect = "x";
    };
    "coercedTo converts what is of the first type" = {
      modules = [
        (option (types.coercedTo types.int toString types.str))
        { a = 7; }
      ];
      expect = "7";
    };
    "enum declared twice takes the values of both" = {
      modules = [
        (option (types.enum [ "x" ]))
        (option (types.enum [ "y" ]))
        { a = "y"; }
      ];
      expect = "y";
    };
    "equal definitions of a string agree" = {
      modules = [
        (option types.str)
        { a = "x"; }
        { a = "x"; }
      ];
      expect = "x";
    };
    "attrs are joined shallowly" = {
      modules = [
        (option types.attrs)
        { a.x = 1; }
        { a.y = 2; }
      ];
      expect = {
        x = 1;
        y = 2;
      };
    };
    "anything joins sets deeply" = {
      modules = [
        (option types.anything)
        { a.b.c = 1; }
        { a.b.d = [ 2 ]; }
      ];
      expect.b = {
        c = 1;
        d = [ 2 ];
      };
    };
    "apply has the last word" = {
      modules = [
        {
          options.a = mkOption {
            type = types.int;
            apply = x: x * 10;
          };
        }
        { a = 4; }
      ];
      expect = 40;
    };
    "_module.args reach modules by name" = {
      modules = [
        (option types.str)
        { _module.args.greeting = "hello"; }
        ({ greeting, ... }: { a = greeting; })
      ];
      expect = "hello";
    };
    "a disabled module is gone, with what only it imports" = {
      modules = [
        (withDefault (types.listOf types.int) [ ])
        {
          key = "gone";
          imports = [ { a = [ 1 ]; } ];
          a = [ 2 ];
        }
        {
          disabledModules = [ { key = "gone"; } ];
          a = [ 3 ];
        }
      ];
      expect = [ 3 ];
    };
    "what nothing declares is let be where checking is off" = {
      modules = [
        (withDefault types.int 1)
        {
          _module.check = false;
          unheard.of = true;
        }
      ];
      expect = 1;
    };
    "an option in a set beside other options" = {
      whole = true;
      modules = [
        { options.s.enable = lib.mkEnableOption "s"; }
        { options.s.port = mkOption { type = types.port; default = 80; }; }
        { s.enable = true; }
      ];
      expect.s = {
        enable = true;
        port = 80;
      };
    };
    "a function type's results are merged" = {
      modules = [
        (
          { config, ... }:
          {
            options.f = mkOption { type = types.functionTo (types.listOf types.int); };
            options.a = mkOption { type = types.listOf types.int; };
            config.a = config.f 1;
          }
        )
        { f = x: [ x ]; }
        { f = x: [ (x + 1) ]; }
      ];
      expect = [ 2 1 ];
    };
  };

  # name -> modules and what the message says: the option, the files, both definitions.
  errors = {
    # Not unwrapped in nixpkgs either: whether a priority counts would depend on the condition.
    "a condition inside of a priority" = {
      modules = [
        (option types.int)
        {
          _file = "one.nix";
          a = mkForce (mkIf true 1);
        }
      ];
      says = [ "option `a' is not of type `signed integer'" "one.nix" ];
    };
    "two definitions of a string" = {
      modules = [
        (option types.str)
        {
          _file = "one.nix";
          a = "x";
        }
        {
          _file = "two.nix";
          a = "y";
        }
      ];
      says = [ "option `a'" "conflicting definition values" "`one.nix': \"x\"" "`two.nix': \"y\"" "mkForce" ];
    };
    "a definition of the wrong type" = {
      modules = [
        (option types.int)
        {
          _file = "one.nix";
          a = "x";
        }
      ];
      says = [ "option `a' is not of type `signed integer'" "`one.nix': \"x\"" ];
    };
    "a definition of the wrong type, deep inside" = {
      modules = [
        user
        {
          _file = "one.nix";
          users.ada.groups = [ 1 ];
        }
      ];
      says = [ "users.ada.groups" "not of type `string'" "one.nix" ];
    };
    "an option that does not exist" = {
      modules = [
        (option types.int)
        {
          _file = "typo.nix";
          services.pdoman = true;
        }
      ];
      says = [ "`services' does not exist" "typo.nix" ];
    };
    "an option that does not exist, beside one that does" = {
      modules = [
        { options.services.podman = mkOption { type = types.bool; default = false; }; }
        {
          _file = "typo.nix";
          services.pdoman = true;
        }
      ];
      says = [ "`services.pdoman' does not exist" "typo.nix" ];
    };
    "a required option that nobody defines" = {
      modules = [ (option types.int) ];
      says = [ "option `a' was accessed but has no value defined" ];
    };
    "a read-only option set again" = {
      modules = [
        {
          options.a = mkOption {
            type = types.int;
            default = 1;
            readOnly = true;
          };
        }
        {
          _file = "one.nix";
          a = 2;
        }
      ];
      says = [ "option `a' is read-only" "one.nix" ];
    };
    "an option declared twice with types that do not fit" = {
      modules = [
        ({ _file = "one.nix"; } // option types.int)
        ({ _file = "two.nix"; } // option types.str)
        { a = 1; }
      ];
      says = [ "option `a' in `.*' is already declared in `.*'" ];
    };
    "an option inside of an option that takes none" = {
      modules = [
        ({ _file = "one.nix"; } // option types.int)
        {
          _file = "two.nix";
          options.a.b = mkOption { };
        }
      ];
      says = [ "option `a' in `one.nix' would be a parent" "`a.b' in .*`two.nix'" ];
    };
    "a module that mixes the short form with the long one" = {
      modules = [
        {
          _file = "mixed.nix";
          options = { };
          a = 1;
        }
      ];
      says = [ "Module `mixed.nix' has an unsupported attribute `a'" ];
    };
    "a unique option defined twice" = {
      modules = [
        (option types.package)
        {
          _file = "one.nix";
          a = derivation { name = "a"; system = "x"; builder = "x"; };
        }
        {
          _file = "two.nix";
          a = derivation { name = "b"; system = "x"; builder = "x"; };
        }
      ];
      says = [ "option `a'" "one.nix" "two.nix" ];
    };
    "a value an enum does not have" = {
      modules = [
        (option (types.enum [ "error" "warn" ]))
        {
          _file = "one.nix";
          a = "quiet";
        }
      ];
      says = [ "option `a' is not of type `one of \"error\", \"warn\"'" "\"quiet\"" ];
    };
    "null and not null" = {
      modules = [
        (option (types.nullOr types.int))
        { a = null; }
        { a = 1; }
      ];
      says = [ "option `a' is defined both null and not null" ];
    };
    "an argument nobody gives" = {
      modules = [
        (option types.int)
        ({ unheardOf, ... }: { a = unheardOf; })
      ];
      says = [ "unheardOf" ];
    };
  };
}
