# Programs that work on text.
{ pkgs, kernel }:
{
  system = pkgs.makeSystem {
    name = "text";
    inherit kernel;
    packages = [ pkgs.hello pkgs.sed pkgs.bzip2 ];
  };
  cases = [
    { name = "boots to a shell"; run = "echo ready"; expect = "^ready$"; smoke = true; }
    { name = "hello greets"; package = "hello"; run = "hello"; expect = "^Hello"; }
    { name = "hello takes a greeting"; package = "hello"; run = "hello --greeting='good morning'"; expect = "^good morning$"; }
    # Built without translations: fails on every kernel.
    { name = "hello greets in German"; package = "hello"; run = "LANG=de_DE.UTF-8 hello"; expect = "^Hallo"; }
    { name = "sed replaces"; package = "sed"; run = "echo one two | /sw/bin/sed -E 's/(one) (two)/\\2 \\1/'"; expect = "^two one$"; }
    { name = "sed edits in place"; package = "sed"; run = "cd /tmp && echo a >f && /sw/bin/sed -i s/a/b/ f && cat f"; expect = "^b$"; }
    { name = "bzip2 packs and unpacks"; package = "bzip2"; run = "cat /bin/busybox | /sw/bin/bzip2 | /sw/bin/bzip2 -d | cmp - /bin/busybox && echo same"; expect = "^same$"; }
    { name = "bzip2 names its block size"; package = "bzip2"; run = "echo x | /sw/bin/bzip2 | head -c 4"; expect = "^BZh[1-9]"; }
    { name = "bzip2 refuses what is not compressed"; package = "bzip2"; run = "echo no | /sw/bin/bzip2 -d"; status = 2; }
  ];
}
