# Containers: the kernel's part of them first, then the programs.
{
  owner = "@asterinas/distro";
  description = "namespaces, chroot, runc, bubblewrap";
  packages = [ "util-linux" "runc" "bubblewrap" "coreutils" ];
  cases = [
    { name = "chroot"; package = "coreutils"; run = "mkdir -p /tmp/c/bin && cp $(readlink -f $(command -v busybox)) /tmp/c/bin/busybox && chroot /tmp/c /bin/busybox ls /"; expect = "^bin$"; }
    { name = "mount-namespace"; package = "util-linux"; run = "mkdir -p /tmp/mn && unshare --mount --propagation unchanged sh -c 'mount -t tmpfs none /tmp/mn && touch /tmp/mn/inside && ls /tmp/mn' && ls /tmp/mn | wc -l"; expect = "^inside\\s+0$"; }
    { name = "pid-namespace"; package = "util-linux"; run = "unshare --pid --fork sh -c 'echo pid $$'"; expect = "^pid 1$"; }
    { name = "user-namespace"; package = "util-linux"; run = "unshare --user --map-root-user id -u"; expect = "^0$"; }
    { name = "runc-spec"; package = "runc"; run = "rm -rf /tmp/rs && mkdir /tmp/rs && cd /tmp/rs && runc spec && grep -c ociVersion config.json"; expect = "^1$"; timeout = 60; }
    { name = "runc-run"; package = "runc"; run = "rm -rf /tmp/rr && mkdir -p /tmp/rr/rootfs/bin && cd /tmp/rr && cp $(readlink -f $(command -v busybox)) rootfs/bin/busybox && runc spec && sed -i 's/\"terminal\": true/\"terminal\": false/; s#\"sh\"#\"/bin/busybox\", \"echo\", \"in a container\"#' config.json && runc --root /tmp/rr/state run --no-pivot c1"; expect = "^in a container$"; timeout = 120; }
    { name = "bubblewrap"; package = "bubblewrap"; run = "bwrap --ro-bind / / --dev /dev --tmpfs /tmp sh -c 'ls /tmp | wc -l'"; expect = "^0$"; timeout = 60; }
  ];
}
