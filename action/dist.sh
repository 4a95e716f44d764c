#!/usr/bin/env bash
# Builds what a release of asterbot consists of into a folder: the same source gives the same bytes.
#
#   dist.sh FOLDER
set -euo pipefail

out=${1:?which folder?}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
version=$(cat VERSION)

for arch in amd64 arm64; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$out/bot-linux-$arch" ./cmd/bot
done
native=$out/bot-linux-$(go env GOARCH)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/man/man1" "$work/completions"
"$native" docs man --out "$work/man/man1"
for shell in bash zsh fish; do "$native" completion "$shell" >"$work/completions/bot.$shell"; done
"$native" docs schema >"$out/asterbot.schema.json"
tar --create --gzip --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --file "$out/man-and-completions.tar.gz" -C "$work" man completions
cp action.yml CHANGELOG.md "$out/"
rm -f "$out/SHA256SUMS"
(cd "$out" && sha256sum -- *) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$out/SHA256SUMS"
