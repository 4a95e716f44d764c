# One folder with Debian's compiler, C library and build tools, all running from the store.
bb=$busybox/usr/bin/busybox
run_patchelf() { "$glibc/lib/ld-linux-x86-64.so.2" --library-path "$glibc/lib:$stdcxx" "$pe" "$@"; }
for p in $patchelf; do
  if [ -e "$p/usr/bin/patchelf" ]; then pe=$p/usr/bin/patchelf; fi
  if [ -e "$p/usr/lib/x86_64-linux-gnu/libstdc++.so.6" ]; then stdcxx=$p/usr/lib/x86_64-linux-gnu; fi
done

$bb mkdir -p "$out/usr/bin" "$out/usr/lib"
for p in $packages; do
  if [ -d "$p/usr" ]; then $bb cp -R "$p/usr" "$out/"; fi
  $bb chmod -R u+w "$out"
done
if [ -d "$out/usr/sbin" ]; then
  for f in "$out"/usr/sbin/*; do
    if ! [ -L "$out/usr/bin/${f##*/}" ]; then $bb mv "$f" "$out/usr/bin/"; fi
  done
  $bb rm -rf "$out/usr/sbin"
fi
$bb rm -rf "$out/etc" "$out/var" "$out/usr/share/readline" "$out/usr/lib64" "$out/usr/lib32"
# Absolute links (depmod is /bin/kmod) lead out of the store.
for f in "$out"/usr/bin/*; do
  case $($bb readlink "$f") in
    /bin/* | /sbin/* | /usr/bin/* | /usr/sbin/* | ../bin/*) $bb ln -sf "$($bb basename "$($bb readlink "$f")")" "$f" ;;
  esac
done
# The linker's scripts name /lib and /lib64 below the sysroot.
$bb ln -s usr/lib "$out/lib"
$bb mkdir -p "$out/lib64"
$bb ln -s ../usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$out/lib64/"
$bb ln -s usr/bin "$out/bin"
if ! [ -e "$out/bin/awk" ]; then $bb ln -s mawk "$out/bin/awk"; fi
$bb ln -sf dash "$out/bin/sh"

rpath=$glibc/lib:$out/usr/lib/x86_64-linux-gnu
$bb find "$out/usr" -type f | while read -r f; do
  case $f in
    # What is linked against, not run, stays as Debian has it.
    *.o | *.a | *.h | */x86_64-linux-gnu/libc.so* | */x86_64-linux-gnu/libm.so* | */ld-linux*) continue ;;
  esac
  case $($bb head -c 4 "$f") in
    *ELF) ;;
    *) continue ;;
  esac
  case $f in
    *.so | *.so.*)
      run_patchelf --set-rpath "$rpath" "$f"
      ;;
    *)
      if run_patchelf --print-interpreter "$f" >/dev/null 2>&1; then
        run_patchelf --set-interpreter "$glibc/lib/ld-linux-x86-64.so.2" --set-rpath "$rpath" "$f"
      fi
      ;;
  esac
done

# The compiler takes headers and start files from here, and what it links finds its loader and
# C library in the store.
for real in "$out"/usr/bin/x86_64-linux-gnu-gcc-[0-9]*; do gcc=$real; done
for name in cc gcc x86_64-linux-gnu-gcc; do
  $bb rm -f "$out/bin/$name"
  {
    echo "#!$out/bin/dash"
    echo "exec $gcc --sysroot=$out -ffile-prefix-map=\$NIX_BUILD_TOP=. -Wl,-dynamic-linker,$glibc/lib/ld-linux-x86-64.so.2 -Wl,-rpath,$glibc/lib -Wl,--build-id=none \$NIX_CFLAGS_COMPILE \"\$@\" \$NIX_LDFLAGS"
  } >"$out/bin/$name"
  $bb chmod +x "$out/bin/$name"
done
