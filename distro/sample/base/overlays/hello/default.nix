final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ./0001-greet-from-the-guest.patch ];
  });
}
