# Containers: runc and podman.
#
# Kernel limits worked around, one patch each (a patch's head says which versions it was applied to):
# - mount(MS_SLAVE) is EINVAL: runc takes a private mount instead.
#   Can go when Asterinas has slave mounts.
# - there is no mqueue file system (ENODEV): runc goes on without /dev/mqueue.
#   Can go when Asterinas has POSIX message queues.
# - there is no bpf(2) (ENOSYS): runc goes on without a device filter.
#   Can go when Asterinas has BPF programs of cgroups.
# - a single file cannot be bound over one of the image: podman can be told by
#   containers.conf to leave /etc/resolv.conf alone (../../modules/containers.nix does).
#   Can go when Asterinas binds files.
#
# null stands for what the package set lacks: names that depended on it would have
# the whole set evaluated before any name of it is known.
final: prev: {
  runc =
    if !(prev ? runc) then
      null
    else
      prev.runc.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ./runc-0001-private-where-no-slave-mounts.patch
          ./runc-0002-no-mqueue.patch
          ./runc-0003-no-bpf-device-filter.patch
        ];
      });

  podman =
    if !(prev ? podman) then
      null
    else
      prev.podman.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [ ./podman-0001-dns-none-by-configuration.patch ];
      });
}
