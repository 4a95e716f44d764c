# Nix itself: a distribution that is configured by Nix has to run it.
{
  owner = "@asterinas/distro";
  description = "evaluating, the store, building without a sandbox";
  packages = [ "nix" ];
  memory = 1024;
  cases = [
    { name = "nix-version"; package = "nix"; run = "nix --version"; expect = "^nix \\(Nix\\) [0-9]"; timeout = 60; }
    { name = "nix-eval"; package = "nix"; run = "nix-instantiate --eval --store dummy:// -E 'builtins.foldl'\\'' (a: b: a + b) 0 (builtins.genList (n: n) 101)'"; expect = "5050"; timeout = 90; }
    { name = "nix-eval-json"; package = "nix"; run = "NIX_REMOTE=dummy:// nix-instantiate --eval --strict --json -E '{ a = 1; b = [ true null ]; }'"; expect = "\\{\"a\":1,\"b\":\\[true,null\\]\\}"; timeout = 90; }
    { name = "nix-hash"; package = "nix"; run = "printf abc > /tmp/abc && nix-hash --type sha256 --flat --base32 /tmp/abc"; expect = "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"; timeout = 60; }
    { name = "nix-store-add"; package = "nix"; run = "mkdir -p /tmp/na && echo stored > /tmp/na/f && p=$(nix-store --store /tmp/store --add /tmp/na) && echo $p && cat /tmp/store$p/f"; expect = "^/nix/store/[a-z0-9]{32}-na\\s+stored$"; timeout = 120; }
    { name = "nix-build"; package = "nix"; run = "cd /tmp && echo 'derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo built > $out\" ]; }' > b.nix && p=$(nix-build --no-out-link --option sandbox false --option build-users-group '' --option substituters '' --option filter-syscalls false b.nix) && cat $p"; expect = "^built$"; timeout = 180; }
  ];
}
