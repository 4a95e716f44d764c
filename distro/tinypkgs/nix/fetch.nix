# Sources, by hash. There is no network here: the set-up brings Debian's source archives into the store,
# and an output that is fixed by its hash is then already there.
{
  lib,
  host,
  system,
  busybox,
}:
rec {
  # fetchurl { url; sha256; }: as in nixpkgs. The URL says where the set-up, or whoever fills the
  # store, takes the file from; changing it alone changes no output.
  fetchurl =
    {
      url ? builtins.head urls,
      urls ? [ url ],
      name ? builtins.replaceStrings [ "~" ":" "%" ] [ "-" "-" "-" ] (baseNameOf url),
      sha256 ? "",
      hash ? "",
      meta ? { },
    }:
    derivation {
      inherit name system urls;
      builder = "${busybox}/bin/busybox";
      args = [ "sh" "-c" "echo \"$name is not in this store, and there is no network in the sandbox: run 'bot doctor --install' (from $urls)\" >&2; exit 1" ];
      outputHashMode = "flat";
      outputHashAlgo = if hash != "" then null else "sha256";
      outputHash = if hash != "" then hash else sha256;
      preferLocalBuild = true;
    }
    // {
      inherit url urls meta;
    };

  # fetchDebianSource "hello": { version; src; } of the upstream archive in a Debian source package, as the
  # set-up found it (locked, unless the mirror no longer has the locked one).
  fetchDebianSource =
    name:
    let
      source =
        host.sources.${name}
          or (throw "tinypkgs: this machine has no source package '${name}'; known: ${toString (builtins.attrNames host.sources)}");
    in
    {
      inherit (source) version;
      src = fetchurl {
        url = "mirror://debian/pool/main/${builtins.substring 0 1 name}/${name}/${source.file}";
        inherit (source) sha256;
      };
    };
}
