# The C library's run-time half: what a program built here loads.
export PATH=/nonexistent
bb=$busybox/usr/bin/busybox
$bb mkdir -p "$out/lib"
for p in $packages; do
  for f in "$p"/usr/lib/x86_64-linux-gnu/*.so*; do
    if [ -f "$f" ]; then $bb cp -P "$f" "$out/lib/"; fi
  done
done
