let
  patched = name: patches: final: prev: {
    ${name} = prev.${name}.overrideAttrs (old: { patches = (old.patches or [ ]) ++ patches; });
  };
  entry = name: overlay: { inherit name overlay; packages = [ name ]; };
in
[
  (entry "applies" (patched "applies" [ ./applies.patch ]))
  (entry "behind" (final: prev: { behind = prev.behind.overrideAttrs (_: { version = "1.9"; }); }))
  (entry "fails" (patched "fails" [ ./applies.patch ./fails.patch ]))
  (entry "gone-upstream" (patched "gone-upstream" [ ./upstream.patch ]))
  (entry "nothing" (final: prev: { nothing = prev.nothing.overrideAttrs (_: { }); }))
  (entry "shifted" (patched "shifted" [ ./shifted.patch ]))
  (entry "no-source" (patched "no-source" [ ./applies.patch ]))
  (entry "added" (final: prev: { added = prev.applies.overrideAttrs (_: { pname = "added"; }); }))
  (entry "missing" (final: prev: { missing = null; }))
  (entry "throws" (final: prev: { throws = throw "there is no such thing"; }))
  {
    name = "scope";
    packages = [ "nested.inner" ];
    overlay = final: prev: {
      nested = prev.nested // {
        inner = prev.nested.inner.overrideAttrs (_: { patches = [ ./applies.patch ]; });
      };
    };
  }
]
