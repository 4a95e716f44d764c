# Unpacks Debian packages into one root and makes an ext2 image of it, the same bytes each time.
#
# Needs of its surroundings: $busybox (static) and $debs; mke2fs and debugfs are
# those inside of the root, run through its own loader.
PATH=/no-such-folder
bb() { "$busybox" "$@"; }
root=$PWD/root
marker=$PWD/marker
bb touch "$marker"

# Debian's root is merged: /bin and the like are links into /usr.
bb mkdir -p "$root/usr"
for d in bin sbin lib lib32 lib64 libx32; do
  bb mkdir -p "$root/usr/$d"
  bb ln -s "usr/$d" "$root/$d"
done

unpack() {
  # Some packages still have files below /bin; tar would replace the link by a folder.
  bb mkdir -p tmp
  bb ar p "$1" data.tar.xz | bb xz -dc | bb tar -x -C tmp -f -
  for d in bin sbin lib lib32 lib64 libx32; do
    if [ -d "tmp/$d" ] && ! [ -L "tmp/$d" ]; then
      (cd "tmp/$d" && bb tar -c -f - .) | (cd "$root/usr/$d" && bb tar -x -f -)
      bb rm -rf "tmp/$d"
    fi
  done
  # Before anything is copied: much of a package is never read by a program.
  bb rm -rf tmp/usr/share/doc tmp/usr/share/man tmp/usr/share/info tmp/usr/share/locale tmp/usr/share/lintian \
    tmp/usr/share/doc-base tmp/usr/share/bug tmp/usr/share/icons
  (cd tmp && bb tar -c -f - .) | (cd "$root" && bb tar -x -f -)
  bb rm -rf tmp
}
for deb in $debs; do unpack "$deb"; done
bb chmod -R u+w "$root"

# What maintainer scripts would have done.
bb cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
bb cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
bb sed -i 's/^root:[^:]*:/root::/' "$root/etc/passwd"
for user in postgres:900 redis:901 sshd:902 messagebus:903; do
  echo "${user%:*}:x:${user#*:}:${user#*:}::/tmp:/bin/sh" >>"$root/etc/passwd"
  echo "${user%:*}:x:${user#*:}:" >>"$root/etc/group"
done
echo debian >"$root/etc/hostname"
echo "127.0.0.1 localhost debian" >"$root/etc/hosts"
alternative() { [ -e "$root/usr/bin/$2" ] && bb ln -sf "$2" "$root/usr/bin/$1"; }
alternative awk gawk
alternative nc nc.openbsd
alternative vi vim.tiny
alternative lua lua5.4
alternative luac luac5.4
alternative php php8.2
alternative guile guile-3.0
alternative tclsh tclsh8.6
alternative cc gcc
alternative c++ g++
alternative editor nano
bb mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/run" "$root/root" "$root/var/lib" "$root/var/log" "$root/nix/store" "$root/etc/nix"
bb chmod 1777 "$root/tmp"
# The guest's init looks for programs in /sw/bin and /bin.
bb mkdir -p "$root/sw"
bb ln -s ../usr/sbin "$root/sw/bin"

# Run by the guest's init before the prompt: what udev would have done.
printf '%s\n' 'ln -sfn /proc/self/fd /dev/fd' 'ln -sfn fd/0 /dev/stdin' 'ln -sfn fd/1 /dev/stdout' 'ln -sfn fd/2 /dev/stderr' \
  'mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null' 'hostname debian' >"$root/etc/rc"

# Times: unpacking leaves those of folders, and of what was just written, at now.
bb find "$root" -newer "$marker" -exec "$busybox" touch -h -d @1 {} +
bb find "$root" -type d -exec "$busybox" touch -h -d @1 {} +

lib=$root/usr/lib/x86_64-linux-gnu
tool() {
  local program=$1
  shift
  "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$root/usr/sbin/$program" "$@"
}
kib=$(bb du -sk "$root" | bb cut -f 1)
export SOURCE_DATE_EPOCH=1
uuid=6f2b4c1e-5d0a-4b7e-9a63-0d1f6c2e8b11
bb mkdir -p "$out"
# A third more than its content: suites write to it.
tool mke2fs -q -t ext2 -b 4096 -I 256 -m 0 -U $uuid -E root_owner=0:0,hash_seed=$uuid \
  -d "$root" "$out/disk.img" "$((kib + kib / 3 + 65536))k"

# mke2fs takes owners from the files, which are the sandbox user's. Inodes are given
# out in order, so the first free one ends the list.
used=$(tool dumpe2fs -h "$out/disk.img" 2>/dev/null | bb awk '/^Inode count/ { n = $3 } /^Free inodes/ { f = $3 } END { print n - f }')
bb seq 2 "$used" | bb awk '{ print "sif <" $1 "> uid 0"; print "sif <" $1 "> gid 0" }' >owners
tool debugfs -w -f owners "$out/disk.img" >owners.log 2>&1
if bb grep -q "not allocated\|rror" owners.log; then
  bb grep "not allocated\|rror" owners.log | bb head >&2
  exit 1
fi
