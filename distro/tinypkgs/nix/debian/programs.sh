# Selected programs of Debian packages, with the libraries they load.
bb=$busybox/usr/bin/busybox
run_patchelf() { "$glibc/lib/ld-linux-x86-64.so.2" --library-path "$glibc/lib:$stdcxx" "$pe" "$@"; }
for p in $patchelf; do
  if [ -e "$p/usr/bin/patchelf" ]; then pe=$p/usr/bin/patchelf; fi
  if [ -e "$p/usr/lib/x86_64-linux-gnu/libstdc++.so.6" ]; then stdcxx=$p/usr/lib/x86_64-linux-gnu; fi
done
$bb mkdir -p "$out/bin" "$out/lib"

# add_libraries FILE: copies what FILE needs beyond the C library, and what that needs.
add_libraries() {
  local so p
  for so in $(run_patchelf --print-needed "$1"); do
    if [ -e "$glibc/lib/$so" ] || [ -e "$out/lib/$so" ]; then continue; fi
    for p in $packages; do
      if [ -e "$p/usr/lib/x86_64-linux-gnu/$so" ]; then
        $bb cp -L "$p/usr/lib/x86_64-linux-gnu/$so" "$out/lib/$so"
        $bb chmod u+w "$out/lib/$so"
        run_patchelf --set-rpath "$glibc/lib:$out/lib" "$out/lib/$so"
        add_libraries "$out/lib/$so"
        break
      fi
    done
    if ! [ -e "$out/lib/$so" ]; then echo "no package has $so, needed by $1" >&2; exit 1; fi
  done
}

for program in $programs; do
  found=
  for p in $packages; do
    for f in "$p/usr/bin/$program" "$p/usr/sbin/$program"; do
      if [ -e "$f" ] && [ -z "$found" ]; then
        found=$f
        $bb cp -L "$f" "$out/bin/$program"
        $bb chmod u+w "$out/bin/$program"
      fi
    done
  done
  if [ -z "$found" ]; then echo "no package has a program $program" >&2; exit 1; fi
  case $($bb head -c 4 "$found") in
    *ELF)
      run_patchelf --set-interpreter "$glibc/lib/ld-linux-x86-64.so.2" --set-rpath "$glibc/lib:$out/lib" "$out/bin/$program"
      add_libraries "$out/bin/$program"
      ;;
  esac
done
for file in $files; do
  for p in $packages; do
    if [ -e "$p/$file" ]; then
      $bb mkdir -p "$out/$($bb dirname "$file")"
      $bb cp -rL "$p/$file" "$out/$file"
    fi
  done
done
$bb rmdir "$out/lib" 2>/dev/null || true
