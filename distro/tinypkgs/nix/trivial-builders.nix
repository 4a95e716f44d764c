# Small derivations: a command, a text, a script, a template, a merge of folders.
{
  lib,
  stdenv,
  bash,
}:
rec {
  runCommand =
    name: env: command:
    stdenv.mkDerivation (
      {
        inherit name;
        buildCommand = command;
        preferLocalBuild = true;
        pos = builtins.unsafeGetAttrPos "name" { inherit name; };
      }
      // env
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      meta ? { },
    }:
    runCommand name
      {
        inherit text meta destination;
        executable = lib.optionalString executable "yes";
        passAsFile = [ "text" ];
      }
      ''
        mkdir -p "$(dirname "$out$destination")"
        cp "$textPath" "$out$destination"
        if [ -n "$executable" ]; then chmod +x "$out$destination"; fi
      '';
  writeText = name: text: writeTextFile { inherit name text; };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
  writeShellScript = name: text: writeScript name "#!${bash}/bin/bash\n${text}";
  writeShellScriptBin = name: text: writeScriptBin name "#!${bash}/bin/bash\n${text}";

  # replaceVarsWith { src; replacements; }: src with each @name@ replaced. A name that src does not
  # have, and a @name@ that nothing replaces, are errors.
  replaceVarsWith =
    {
      src,
      replacements,
      name ? src.name or (baseNameOf src),
      dir ? null,
      isExecutable ? false,
      meta ? { },
      ...
    }:
    runCommand name
      {
        inherit src meta;
        arguments = lib.escapeShellArgs (
          lib.concatMap (n: [ "--replace-fail" "@${n}@" (toString replacements.${n}) ]) (builtins.attrNames replacements)
        );
        target = lib.optionalString (dir != null) "/${dir}/${name}";
        executable = lib.optionalString isExecutable "yes";
      }
      ''
        mkdir -p "$(dirname "$out$target")"
        cp "$src" "$out$target"
        chmod u+w "$out$target"
        eval "substituteInPlace $out$target $arguments"
        if grep -nE '@[a-zA-Z_][0-9A-Za-z_'"'"'-]*@' "$out$target" >&2; then
          echo "replaceVarsWith: nothing replaces the names above in $src" >&2
          exit 1
        fi
        if [ -n "$executable" ]; then chmod +x "$out$target"; fi
      '';
  replaceVars = src: replacements: replaceVarsWith { inherit src replacements; };

  symlinkJoin =
    {
      name,
      paths,
      postBuild ? "",
      meta ? { },
    }:
    runCommand name { inherit paths meta; } ''
      mkdir -p "$out"
      for p in $paths; do cp -rsf --no-preserve=mode "$p/." "$out/"; done
      ${postBuild}
    '';

  # closureInfo { rootPaths; }: a folder with store-paths, one path of the closure a line.
  closureInfo =
    { rootPaths }:
    runCommand "closure-info"
      {
        exportReferencesGraph = lib.concatLists (lib.imap0 (i: p: [ "graph-${toString i}" p ]) rootPaths);
      }
      ''
        mkdir "$out"
        cat "$NIX_BUILD_TOP"/graph-* | grep "^$NIX_STORE/" | sort -u >"$out/store-paths"
      '';
}
