#!/usr/bin/env bash
# The first step of action.yml: finds the bot, and what it needs on the runner.
#
# The bot is, in this order: the binary that was named; one that an earlier step of this job found; the
# asset of this version's release, held against the release's checksums; a build of this source. A
# version that ends in -dev has no release.
#
# On a runner of GitHub's (RUNNER_ENVIRONMENT) it installs Nix and QEMU where they are missing, and
# opens /dev/kvm. Elsewhere the machine is somebody's own: nothing is installed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(cat "$root/VERSION")
tools=${RUNNER_TEMP:-/tmp}/asterbot-tools
mkdir -p "$tools"
# What is newer than the holes that hostile expressions can use: see docs/actions.md.
nix_version=2.35.3

say() { echo "asterbot: $*" >&2; }
missing() { ! command -v "$1" >/dev/null; }

hosted() { [[ ${RUNNER_ENVIRONMENT:-} == github-hosted && ${ASTERBOT_INSTALL:-auto} == auto ]] && ! missing sudo; }

platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-amd64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    *) return 1 ;;
  esac
}

fetch() { curl --silent --show-error --fail --location --proto '=https' --retry 3 --max-time 120 --output "$2" "$1"; }

# release: downloads this version's binary into $tools and verifies it.
release() {
  [[ $version != *-dev ]] || return 1
  local name from
  name=bot-$(platform) || return 1
  from=${ASTERBOT_RELEASES:-https://github.com/asterinas/asterbot/releases/download}/v$version
  fetch "$from/SHA256SUMS" "$tools/SHA256SUMS" && fetch "$from/$name" "$tools/$name" || return 1
  # A binary that is not what the release says is no reason to go on with another one.
  (cd "$tools" && grep -E "^[0-9a-f]{64} [ *]$name\$" SHA256SUMS | sha256sum --check --strict --status -) ||
    { say "$name of v$version is not what its SHA256SUMS says; nothing was run"; exit 2; }
  chmod +x "$tools/$name" && mv "$tools/$name" "$tools/bot"
}

find_bot() {
  if [[ -n ${ASTERBOT_BINARY:-} ]]; then
    [[ -x $ASTERBOT_BINARY ]] || { say "input binary: $ASTERBOT_BINARY is no program"; exit 2; }
    bot=$ASTERBOT_BINARY
    return
  fi
  bot=$tools/bot
  [[ ! -x $bot ]] || return 0
  if release; then
    say "version $version, from its release"
  elif ! missing go; then
    say "building version $version from source"
    (cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$bot" ./cmd/bot)
  else
    say "version $version has no release for $(uname -sm), and there is no Go to build it: use actions/setup-go before this step, or input binary"
    exit 2
  fi
}

install_nix() {
  missing nix-store || return 0
  say "installing Nix $nix_version"
  fetch "https://releases.nixos.org/nix/nix-$nix_version/install" "$tools/install-nix"
  # No access token: what a change evaluates runs under this configuration.
  printf '%s\n' 'sandbox = true' 'sandbox-fallback = false' 'max-jobs = auto' 'accept-flake-config = false' >"$tools/nix.conf"
  sh "$tools/install-nix" --daemon --yes --no-channel-add --nix-extra-conf-file "$tools/nix.conf" >"$tools/install-nix.log" 2>&1 ||
    { tail -20 "$tools/install-nix.log" >&2; say "Nix could not be installed"; exit 3; }
  echo /nix/var/nix/profiles/default/bin >>"$GITHUB_PATH"
}

install_qemu() {
  missing qemu-system-x86_64 || return 0
  say "installing QEMU"
  { sudo apt-get -q update && sudo apt-get -q install -y --no-install-recommends qemu-system-x86 qemu-utils ovmf; } >"$tools/install-qemu.log" 2>&1 ||
    { tail -20 "$tools/install-qemu.log" >&2; say "QEMU could not be installed: boots will be errors"; }
}

open_kvm() {
  if [[ ! -e /dev/kvm ]]; then
    say "this machine has no KVM: guests are emulated (TCG), which is slower"
  elif [[ ! -w /dev/kvm ]]; then
    sudo chmod 0666 /dev/kvm || say "KVM is there but cannot be opened: guests are emulated (TCG), which is slower"
  fi
}

find_bot
if hosted; then
  case ${ASTERBOT_COMMAND:-} in
    plan) install_nix ;;
    build | boot | check | release) install_nix && install_qemu && open_kvm ;;
  esac
fi
echo "bot=$bot" >>"${GITHUB_OUTPUT:-/dev/stdout}"
