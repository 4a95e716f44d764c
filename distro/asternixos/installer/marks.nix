# What the installer prints, as whoever watches it needs to know: see ./install.sh.
{
  success = "^installer: finished";
  failure = "^installer: FAILED";
  stages = [
    "^installer: start"
    "^installer: checked"
    "^installer: partitioned"
    "^installer: file systems made"
    "^installer: system copied"
    "^installer: boot loader installed"
  ];
  disk = 512;
}
