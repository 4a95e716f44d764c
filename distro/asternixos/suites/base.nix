# The base system: what every other suite takes for granted.
{
  owner = "@asterinas/distro";
  description = "shell, text tools, archives, processes, files";
  packages = [ "bash" "coreutils" "gnused" "gnugrep" "gawk" "findutils" "diffutils" "patch" "gnutar" "gzip" "bzip2" "xz" "zstd" "zip" "cpio" "bc" "jq" "file" "procps" "util-linux" "strace" "tmux" "vim" "gnupg" "xxd" ];
  cases = [
    { name = "hello"; package = "bash"; smoke = true; run = "echo hello from $((6 * 7))"; expect = "^hello from 42$"; }
    { name = "coreutils"; package = "coreutils"; smoke = true; run = "seq 1000 | sort -rn | head -n 1 && printf abc | sha256sum"; expect = "^1000\\s+ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; }
    { name = "bash-arrays"; package = "bash"; run = "bash -c 'declare -A a=([x]=1 [y]=2); (( a[x]+a[y] == 3 )) && echo sum ok'"; expect = "^sum ok$"; }
    { name = "bash-process-substitution"; package = "bash"; run = "bash -c 'diff <(seq 3) <(seq 3) && echo the same'"; expect = "^the same$"; }
    { name = "bash-job-control"; package = "bash"; run = "bash -c 'sleep 30 & kill %1 2>/dev/null || kill $!; wait $!; echo status $?'"; expect = "^status 143$"; }
    { name = "exit-status"; package = "bash"; run = "sh -c 'exit 7'"; status = 7; }
    { name = "sed"; package = "gnused"; run = "printf 'a1\\nb2\\n' | sed -E 's/([a-z])([0-9])/\\2\\1/'"; expect = "^1a\\s+2b$"; }
    { name = "grep"; package = "gnugrep"; run = "printf 'kernel\\npackage\\n' | grep -nE '^pack(age|er)$'"; expect = "^2:package$"; }
    { name = "gawk"; package = "gawk"; run = "seq 100 | gawk '{ s += $1 } END { print \"sum\", s }'"; expect = "^sum 5050$"; }
    { name = "find"; package = "findutils"; run = "mkdir -p /tmp/f/a/b && touch /tmp/f/a/b/c.txt && find /tmp/f -name '*.txt' -newer /proc/1 -o -name c.txt | xargs basename"; expect = "^c\\.txt$"; }
    { name = "diff-and-patch"; package = "patch"; run = "cd /tmp && seq 5 > a && sed s/3/three/ a > b; diff -u a b > d; patch -s a < d && cmp a b && echo patched"; expect = "^patched$"; }
    { name = "tar-gzip"; package = "gnutar"; run = "cd /tmp && mkdir -p t && seq 9999 > t/n && tar czf t.tgz t && rm -r t && tar xzf t.tgz && tail -n 1 t/n"; expect = "^9999$"; }
    { name = "bzip2"; package = "bzip2"; run = "seq 20000 | bzip2 -9 | bunzip2 | md5sum"; expect = "^e071f707df7bbeee2a6a1eb48011ddd0"; }
    { name = "xz"; package = "xz"; run = "seq 20000 | xz -1 | xz -dc | tail -n 1"; expect = "^20000$"; }
    { name = "zstd"; package = "zstd"; run = "seq 20000 | zstd -q -T1 | zstd -dcq | tail -n 1"; expect = "^20000$"; }
    { name = "zip"; package = "zip"; run = "cd /tmp && echo zipped > z.txt && zip -q z.zip z.txt && unzip -p z.zip"; expect = "^zipped$"; }
    { name = "cpio"; package = "cpio"; run = "cd /tmp && echo in > c1 && echo c1 | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null"; expect = "^c1$"; }
    { name = "bc"; package = "bc"; run = "echo 'scale=20; 4*a(1)' | bc -l"; expect = "^3\\.14159265358979323"; }
    { name = "jq"; package = "jq"; run = "echo '{\"a\":[1,2,3]}' | jq -c '.a | map(.*2)'"; expect = "^\\[2,4,6\\]$"; }
    { name = "file"; package = "file"; run = "file -L /bin/sh"; expect = "ELF 64-bit"; timeout = 60; }
    { name = "ps"; package = "procps"; run = "ps -p 1 -o pid= -o comm="; expect = "^\\s*1 \\S+"; }
    { name = "flock"; package = "util-linux"; run = "flock -n /tmp/lock sh -c 'flock -n /tmp/lock true; echo inner $?'"; expect = "^inner 1$"; }
    { name = "fallocate"; package = "util-linux"; run = "fallocate -l 1048576 /tmp/fa && stat -c %s /tmp/fa"; expect = "^1048576$"; }
    { name = "unshare-uts"; package = "util-linux"; run = "unshare --uts sh -c 'hostname inside && hostname' && hostname | grep -vx inside"; expect = "^inside$"; }
    { name = "tmpfs"; package = "util-linux"; run = "mkdir -p /tmp/m && mount -t tmpfs none /tmp/m && echo x > /tmp/m/y && umount /tmp/m && ls /tmp/m | wc -l"; expect = "^0$"; }
    { name = "strace"; package = "strace"; run = "strace -o /tmp/s.out -e trace=write echo traced && grep -c '^write(1, \"traced' /tmp/s.out"; expect = "^traced\\s+1$"; timeout = 60; }
    { name = "tmux"; package = "tmux"; run = "tmux -f /dev/null new-session -d -s t 'echo in tmux > /tmp/tmux.out; sleep 60' && for i in $(seq 45); do [ -s /tmp/tmux.out ] && break; sleep 1; done; cat /tmp/tmux.out; tmux kill-server"; expect = "^in tmux"; timeout = 60; }
    { name = "vim"; package = "vim"; run = "seq 3 > /tmp/v.txt && vi -es -u NONE /tmp/v.txt -c '%s/2/two/' -c wq; cat /tmp/v.txt"; expect = "^1\\s+two\\s+3$"; timeout = 60; }
    { name = "gnupg"; package = "gnupg"; run = "export GNUPGHOME=/tmp/gpg && mkdir -p -m 700 $GNUPGHOME && echo secret > /tmp/g.txt && gpg --batch --yes --passphrase x --pinentry-mode loopback -c /tmp/g.txt && gpg --batch --quiet --passphrase x --pinentry-mode loopback -d /tmp/g.txt.gpg; gpgconf --kill all"; expect = "^secret"; timeout = 120; }
    { name = "signals"; package = "bash"; run = "bash -c 'trap \"echo caught\" USR1; kill -USR1 $$; echo done'"; expect = "^caught\\s+done$"; }
    { name = "inotify"; package = "python3"; run = "python3 -c \"import ctypes,os,struct; l=ctypes.CDLL(None,use_errno=True); fd=l.inotify_init(); assert fd>=0, os.strerror(ctypes.get_errno()); assert l.inotify_add_watch(fd,b'/tmp',0x100)>=0; open('/tmp/ino','w'); print('event', struct.unpack('iIII',os.read(fd,64)[:16])[1])\""; expect = "^event 256$"; timeout = 60; }
  ];
}
