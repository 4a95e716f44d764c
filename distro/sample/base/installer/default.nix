# The installer image.
{ pkgs, kernel }:
pkgs.makeInstaller {
  name = "sample";
  inherit kernel;
  partitions = ./partitions;
  packages = [ pkgs.hello pkgs.lua ];
  asterbot.cases = [
    { name = "the root is the disk"; run = "mount | head -n 1"; expect = "^/dev/vda2 on / "; smoke = true; }
    { name = "hello greets from the disk"; package = "hello"; run = "hello"; expect = "^Hello"; }
    { name = "what is written stays"; run = "echo kept >/var/kept && sync && cat /var/kept"; expect = "^kept$"; }
  ];
}
