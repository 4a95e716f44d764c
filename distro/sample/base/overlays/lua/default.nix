final: prev: {
  lua = prev.lua.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ./0001-name-the-distribution.patch ];
  });
}
