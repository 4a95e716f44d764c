# Makes a guest's root directory, as an initramfs or as a folder.
root=$NIX_BUILD_TOP/root
mkdir -p "$root"/{bin,dev,etc,lib/modules,nix/store,proc,root,run,sw/bin,sys,tmp,var}
cp "$init/init" "$root/init"

while read -r path; do
  if [ "$path" = "$toolchain" ]; then
    echo "a package of this guest refers to the compiler ($toolchain), which would come along:" >&2
    for p in $packages; do grep -rl "$toolchain" "$p" >&2 || true; done
    exit 1
  fi
  cp -a "$path" "$root/nix/store/"
done <"$closure/store-paths"
chmod -R u+w "$root"

for applet in $("$busybox/bin/busybox" --list); do ln -s "$busybox/bin/busybox" "$root/bin/$applet"; done
ln -sf "$busybox/bin/busybox" "$root/bin/busybox"
# Not busybox's shell: it prefers its own applets to the programs under test.
ln -sf "$dash/bin/dash" "$root/bin/sh"
for p in $packages; do
  for program in "$p"/bin/* "$p"/sbin/*; do ln -sf "$program" "$root/sw/bin/"; done
  for kind in lib share; do
    # Lua looks for its packages below the root.
    if [ -d "$p/$kind/lua" ]; then
      mkdir -p "$root/$kind"
      cp -rsf --no-preserve=mode "$p/$kind/lua" "$root/$kind/"
    fi
  done
done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
if [ -s "$rcPath" ]; then cp "$rcPath" "$root/etc/rc"; fi

if [ -n "$modules" ]; then
  tree=$NIX_BUILD_TOP/modules
  mkdir -p "$tree/lib/modules"
  for folder in "$modules"/lib/modules/* "$modules"/*; do
    if [ -d "$folder/kernel" ]; then version=$(basename "$folder"); cp -r "$folder" "$tree/lib/modules/"; fi
  done
  if [ -z "${version:-}" ]; then echo "no kernel modules in $modules" >&2; exit 1; fi
  chmod -R u+w "$tree"
  if [ ! -e "$tree/lib/modules/$version/modules.dep" ]; then depmod -b "$tree" "$version"; fi
  touch "$root/lib/modules/load"
  for module in $load; do
    # Modules built into the kernel print "builtin", unknown ones fail: a kernel without them is a choice.
    modprobe -d "$tree" -S "$version" --show-depends "$module" 2>/dev/null | while read -r how file _; do
      if [ "$how" != insmod ]; then continue; fi
      file=/${file#"$tree/"}
      if ! grep -qxF "${file%.?z*}" "$root/lib/modules/load"; then
        mkdir -p "$root$(dirname "$file")"
        cp "$tree$file" "$root$file"
        case $file in
          *.xz) xz -d "$root$file" ;;
          *.zst) zstd -q -d --rm "$root$file" ;;
          *.gz) gzip -d "$root$file" ;;
        esac
        file=${file%.xz} file=${file%.zst} file=${file%.gz}
        echo "$file" >>"$root/lib/modules/load"
      fi
    done
  done
fi

set -- $sources
for target in $targets; do
  mkdir -p "$(dirname "$root/$target")"
  cp -rL "$1" "$root/$target"
  shift
done

find "$root" -exec touch -h -d @1 {} +
if [ "$form" = folder ]; then
  cp -a "$root" "$out"
else
  mkdir "$out"
  (cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc --reproducible -R +0:+0) | gzip -n >"$out/initrd"
fi
