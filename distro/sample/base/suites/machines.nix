# What a case may assume of its machine: each of these gets a fresh one.
{ pkgs, kernel }:
{
  system = pkgs.makeSystem {
    name = "machines";
    inherit kernel;
  };
  machine = "fresh";
  cases = [
    { name = "a file is written"; run = "echo x >/tmp/left-behind && cat /tmp/left-behind"; expect = "^x$"; smoke = true; }
    { name = "it is not there in the next machine"; run = "cat /tmp/left-behind"; status = 1; }
  ];
}
