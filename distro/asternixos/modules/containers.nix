# Containers: podman on runc, told not to ask for what Asterinas does not have.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.asternixos;
in
{
  config = lib.mkIf cfg.containers.enable {
    assertions = [
      {
        assertion = pkgs.podman or null != null && pkgs.runc or null != null;
        message = "asternixos.containers.enable needs podman and runc, which this package set does not have.";
      }
    ];

    virtualisation.podman.enable = true;
    virtualisation.containers = {
      enable = true;
      # overlayfs there lacks what the overlay driver checks for.
      storage.settings.storage = {
        driver = lib.mkDefault "vfs";
        runroot = "/run/containers/storage";
        graphroot = "/var/lib/containers/storage";
      };
      containersConf.settings = {
        containers = {
          # Namespaces of the host, until the kernel has them.
          cgroupns = "host";
          ipcns = "host";
          netns = "host";
          pidns = "host";
          userns = "host";
          # No seccomp, no keyrings, no sysctls of a namespace.
          seccomp_profile = "unconfined";
          keyring = false;
          default_sysctls = [ ];
          # Single files are not bound over those of an image.
          no_hosts = true;
          dns_servers = [ "none" ];
        };
        engine = {
          runtime = "runc";
          runtimes.runc = [ "${pkgs.runc}/bin/runc" ];
          cgroup_manager = "cgroupfs";
          events_logger = "none";
        };
      };
    };
  };
}
