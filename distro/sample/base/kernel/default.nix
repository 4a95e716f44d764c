# The kernel under test.
{ pkgs }:
{
  image = "${pkgs.linux}/vmlinuz";
  modules = pkgs.linux;
  params = pkgs.lib.splitString " " (pkgs.lib.fileContents ./params);
  profile = "linux";
}
