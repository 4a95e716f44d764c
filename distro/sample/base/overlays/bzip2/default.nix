final: prev: {
  bzip2 = prev.bzip2.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ./0001-smaller-blocks-by-default.patch ];
  });
}
