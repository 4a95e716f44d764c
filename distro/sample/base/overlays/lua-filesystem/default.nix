final: prev: {
  lua-filesystem = prev.lua-filesystem.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ./0001-lock-whole-files.patch ];
  });
}
