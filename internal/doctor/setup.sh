#!/usr/bin/env bash
# Makes a Debian machine ready for asterbot, and does nothing where it already is.
#
#   setup.sh            what 'bot check' and 'bot demo' need
#   setup.sh --test     also what 'make test' needs
#   setup.sh --check    say what is missing, change nothing; exit with a failure if anything is
#
# 1. Debian packages of needs.tsv, by apt (root, or sudo).
# 2. A Debian cloud kernel and source packages, downloaded with a private apt configuration derived
#    from the machine's own and unpacked into the cache: never installed, /etc/apt is not touched.
# 3. The installed files of the packages in store.tsv, imported into the Nix store by content.
# 4. host.nix in the cache: what tinypkgs may refer to.
#
# Cache: ${ASTERBOT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/asterbot}.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ASTERBOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/asterbot}
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8
test=no check=no
for arg; do
  case $arg in
    --test) test=yes ;;
    --check) check=yes ;;
    *) echo "setup: unknown argument $arg; known: --test, --check" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 3; }
rows() { grep -v '^#' "$here/$1"; }

# present PROBE: is the program on PATH, or a file at the path?
present() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
while IFS=$'\t' read -r package probe for _ _; do
  [[ $for != test || $test == yes ]] || continue
  present "$probe" || missing+=("$package")
done < <(rows needs.tsv)

# closure: package, version and, after a dash, direct dependencies of everything in store.tsv, among what is installed.
closure() {
  dpkg-query -W -f '${Package}\t${Version}\t${db:Status-Status}\t${Depends}, ${Pre-Depends}\n' |
    awk -F'\t' -v roots="$(rows store.tsv | tr '\n' ' ')" '
      # What only package management or other compilers need stays out.
      function skip(p) { return p ~ /^(base-files|debconf|dpkg|perl.*|install-info|debianutils|logsave|lib(asan|tsan|lsan|ubsan|itm|hwasan|quadmath|gomp|cc1)-?[0-9]*|libgprofng.*|rpcsvc-proto|libc-dev-bin|libnsl-dev)$/ }
      $3 == "installed" { version[$1] = $2; depends[$1] = $4 }
      function visit(p,    n, parts, i, alternatives, m, j, d, found) {
        if (p in seen) return
        seen[p] = 1
        deps[p] = ""
        n = split(depends[p], parts, ",")
        for (i = 1; i <= n; i++) {
          m = split(parts[i], alternatives, "|")
          for (j = 1; j <= m; j++) {
            d = alternatives[j]
            gsub(/^[ \t]+/, "", d); sub(/[ (:].*/, "", d)
            if (d == "" || !(d in version) || skip(d)) continue
            deps[p] = deps[p] " " d
            visit(d)
            break
          }
        }
      }
      END {
        n = split(roots, r, " ")
        for (i = 1; i <= n; i++) {
          if (!(r[i] in version)) { print r[i] > "/dev/stderr"; bad = 1; continue }
          visit(r[i])
        }
        if (bad) exit 1
        for (p in seen) print p "\t" version[p] "\t-" deps[p]
      }' | sort
}

# stamp: what the cache is made from: these files, and the packages that are imported.
stamp() { { cat "$here"/{setup.sh,store.tsv,sources.tsv}; closure; } 2>/dev/null | sha256sum | cut -d' ' -f1; }

fresh=no
if [[ -f $cache/stamp && $(<"$cache/stamp") == "$(stamp)" && -f $cache/host.nix && -s $cache/kernel/vmlinuz ]] &&
  { command -v nix-store >/dev/null && xargs nix-store --check-validity <"$cache/paths"; } 2>/dev/null; then
  fresh=yes
fi

if [[ $check == yes ]]; then
  [[ ${#missing[@]} == 0 ]] || say "missing packages: ${missing[*]}"
  [[ $fresh == yes ]] || say "$cache is not up to date"
  [[ ${#missing[@]} == 0 && $fresh == yes ]]
  exit
fi

sudo=()
if [[ $(id -u) != 0 ]]; then
  sudo=(sudo)
fi

if [[ ${#missing[@]} != 0 ]]; then
  how="install these packages and run this again: ${missing[*]}"
  command -v apt-get >/dev/null || die "there is no apt-get here; $how (Debian's names), or see what each is for with 'bot doctor'"
  [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null || { [[ -t 0 ]] && command -v sudo >/dev/null; } ||
    die "not root and no sudo; as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >&2 || die "apt-get update failed; mend the machine's package sources, then $how"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >"${TMPDIR:-/tmp}/asterbot-apt.$$" 2>&1 ||
    { tail -20 "${TMPDIR:-/tmp}/asterbot-apt.$$" >&2; die "apt-get install failed; $how"; }
  rm -f "${TMPDIR:-/tmp}/asterbot-apt.$$"
fi

# Programs that only 'make test' needs, built by Go into the checkout.
if [[ $test == yes ]]; then
  tools=$(cd "$here/../.." && pwd)/bin/tools
  mkdir -p "$tools"
  while IFS=$'\t' read -r name module version; do
    [[ ! -e $tools/$name@$version ]] || continue
    say "installing $name $version"
    GOBIN=$tools GOFLAGS=-trimpath go install "$module@$version" 2> >(grep -v '^go: downloading' >&2) || die "go install $module@$version failed; try again"
    rm -f "$tools/$name@"* && : >"$tools/$name@$version"
  done < <(rows go-tools.tsv)
fi

if [[ $fresh == yes && ${#missing[@]} == 0 ]]; then
  exit 0
fi

command -v dpkg-query >/dev/null || die "this is not Debian or a derivative: tinypkgs takes its toolchain from installed Debian packages"
mkdir -p "$cache/roots"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/setup.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT

# --- private apt configuration ---------------------------------------------------------------

# Debian's own stanzas of the machine's sources, each also as a source of sources. Other
# vendors' repositories are left out: they have nothing that is needed here, and may not answer.
private_sources() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    awk -v c="$codename" '$1 == "deb" && $0 ~ "[ /]" c "(-updates|-security|/updates)? " { print; sub(/^deb/, "deb-src"); print }' "$file"
  done >"$work/apt/sources.list.d/one-line.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    awk -v RS= -v ORS='\n\n' -v c="$codename" '$0 ~ "(^|\n)Suites:[^\n]*[ \t]" c "(-updates|-security)?([ \t\n]|$)" {
      gsub(/#[^\n]*\n/, ""); sub(/(^|\n)Types:[^\n]*/, "\nTypes: deb deb-src"); sub(/^\n/, ""); print }' "$file" \
      >"$work/apt/sources.list.d/$(basename "$file")"
  done
  find "$work/apt/sources.list.d" -size 0 -delete
  [[ -n $(ls "$work/apt/sources.list.d") ]] || die "found no package source for Debian $codename in /etc/apt: add one"
}

apt() {
  local verb=$1
  shift
  "apt-$verb" -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/sources.list.d" \
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o Debug::NoLocking=1 \
    -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

apt_ready=no
apt_update() {
  [[ $apt_ready == no ]] || return 0
  mkdir -p "$work"/apt/{sources.list.d,lists/partial,cache/archives/partial}
  private_sources
  say "reading package lists"
  apt get update >&2 || die "the package mirror does not answer; try again, or mend the sources in /etc/apt"
  apt_ready=yes
}

# --- the kernel -------------------------------------------------------------------------------

kernel_deb=$(compgen -G "$cache/downloads/linux-image-*.deb" | head -1 || true)
if [[ ! -s $cache/kernel/vmlinuz || -z $kernel_deb ]]; then
  apt_update
  name=$(apt cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
  [[ -n $name ]] || die "the mirror has no linux-image-cloud-amd64"
  say "downloading $name"
  mkdir -p "$cache/downloads" "$work/deb" "$work/kernel"
  (cd "$work/deb" && apt get download "$name") || die "downloading $name failed; try again"
  dpkg-deb -x "$work"/deb/*.deb "$work/kernel/tree"
  version=$(ls "$work/kernel/tree/lib/modules" 2>/dev/null || ls "$work/kernel/tree/usr/lib/modules")
  modules=$(compgen -G "$work/kernel/tree/*lib/modules" || compgen -G "$work/kernel/tree/usr/lib/modules")
  mkdir "$work/kernel/new"
  cp "$work/kernel/tree/boot/vmlinuz-$version" "$work/kernel/new/vmlinuz"
  mkdir "$work/kernel/new/modules"
  mv "$modules/$version" "$work/kernel/new/modules/$version"
  # Debian indexes modules when it installs a kernel, which this is not.
  mkdir -p "$work/kernel/index/lib" && ln -s "$work/kernel/new/modules" "$work/kernel/index/lib/modules"
  depmod -b "$work/kernel/index" "$version"
  rm -rf "$cache/kernel" "$cache"/downloads/linux-image-*.deb
  mv "$work"/deb/*.deb "$cache/downloads/"
  mv "$work/kernel/new" "$cache/kernel"
  kernel_deb=$(compgen -G "$cache/downloads/linux-image-*.deb" | head -1)
fi
kernel_version=$(ls "$cache/kernel/modules")

# --- source packages ----------------------------------------------------------------------------

sources=()
while IFS=$'\t' read -r name version sha256; do
  file=$(compgen -G "$cache/downloads/${name}_*.orig.tar.*" | grep -v '\.asc$' | head -1 || true)
  if [[ -z $file ]]; then
    apt_update
    mkdir -p "$cache/downloads" "$work/src/$name"
    # The locked upstream version in any Debian revision; else what the release has.
    revision=$(apt cache showsrc "$name" | awk -v v="$version" '/^Version:/ { u = $2; sub(/^[0-9]+:/, "", u); sub(/-[^-]*$/, "", u); if (u == v) { print $2; exit } }')
    [[ -n $revision ]] || say "the mirror no longer has $name $version: taking the release's own"
    say "downloading the source of $name ${revision:-}"
    (cd "$work/src/$name" && apt get source --download-only --only-source "$name${revision:+=$revision}" >&2) || die "downloading the source of $name failed; try again"
    file=$(compgen -G "$work/src/$name/${name}_*.orig.tar.*" | grep -v '\.asc$' | head -1) || die "the source of $name has no upstream archive"
    mv "$file" "$cache/downloads/"
    file=$cache/downloads/$(basename "$file")
  fi
  got=$(sha256sum "$file" | cut -d' ' -f1)
  base=$(basename "$file")
  upstream=${base#"${name}"_}
  upstream=${upstream%.orig.tar.*}
  if [[ $upstream == "$version" && $got != "$sha256" ]]; then
    rm -f "$file"
    die "$base has SHA-256 $got, not $sha256: removed it; run this again, and if it stays so, the mirror is not to be trusted"
  fi
  sources+=("$name $upstream $got $file")
done < <(rows sources.tsv)

# --- import -------------------------------------------------------------------------------------

# tree PACKAGE DIR: its installed files, with merged /usr, without what no build reads.
tree() {
  mkdir -p "$2"
  local file
  dpkg -L "$1" | while read -r file; do
    [[ -d $file && ! -L $file ]] || echo ".$file"
  done | grep -vE '^\./usr/(share/(doc|man|info|locale|lintian|bug|gcc|gdb|menu|bash-completion|zoneinfo|perl)|lib/debug)|/lto1$|/cc1plus$' >"$work/list" || true
  tar -C / -c --no-recursion --ignore-failed-read -T "$work/list" --transform='flags=r;s,^\./\(bin\|sbin\|lib\|lib64\)/,./usr/\1/,' 2>/dev/null | tar -C "$2" -x --no-same-owner --no-same-permissions
  chmod -R u+rwX,go+rX "$2"
}

nix_store() { nix-store --option substituters '' "$@" 2> >(grep -v "nixbld\|NIX_PATH" >&2); }

echo >"$work/probe"
nix_store --add "$work/probe" >/dev/null ||
  die "this user cannot add to the Nix store: run the same command with sudo, or let a Nix daemon serve this user (Debian: nix-setup-systemd) and trust it (trusted-users in nix.conf)"
closure >"$work/closure" || die "packages above are in store.tsv, but not installed: apt-get install them"
previous=$cache/debian.tsv
say "importing $(wc -l <"$work/closure") Debian packages, sources and the kernel into the Nix store"
: >"$work/debian.tsv"
while IFS=$'\t' read -r package version deps; do
  path=$(awk -F'\t' -v p="$package" -v v="$version" '$1 == p && $2 == v { print $4 }' "$previous" 2>/dev/null || true)
  if [[ -z $path ]] || ! nix-store --check-validity "$path" 2>/dev/null; then
    name="$package-$(sed 's/^[0-9]*://; s/[^0-9A-Za-z+._?=-]/-/g' <<<"$version")"
    rm -rf "$work/tree" && mkdir "$work/tree"
    tree "$package" "$work/tree/$name"
    path=$(nix_store --add "$work/tree/$name")
  fi
  printf '%s\t%s\t%s\t%s\n' "$package" "$version" "$deps" "$path" >>"$work/debian.tsv"
done <"$work/closure"

{
  echo "# Written by asterbot's set-up: what tinypkgs may take from this machine."
  echo "{"
  echo "  debian = {"
  while IFS=$'\t' read -r package version deps path; do
    list=
    hash=$(nix_store --query --hash "$path")
    hash=${hash#sha256:}
    for d in ${deps#-}; do list+=" \"$d\""; done
    echo "    \"$package\" = { version = \"$version\"; deps = [$list ]; name = \"${path#*-}\"; sha256 = \"$hash\"; };"
  done <"$work/debian.tsv"
  echo "  };"
  echo "  sources = {"
  for s in "${sources[@]}"; do
    read -r name version sha256 file <<<"$s"
    nix_store --add-fixed sha256 "$file" >>"$work/paths"
    echo "    \"$name\" = { version = \"$version\"; file = \"$(basename "$file")\"; sha256 = \"$sha256\"; };"
  done
  echo "  };"
  nix_store --add-fixed sha256 "$kernel_deb" >>"$work/paths"
  echo "  kernel = { version = \"$kernel_version\"; file = \"$(basename "$kernel_deb")\"; sha256 = \"$(sha256sum "$kernel_deb" | cut -d' ' -f1)\"; };"
  echo "}"
} >"$work/host.nix"
cut -f4 "$work/debian.tsv" >>"$work/paths"

# Garbage collection must not take what host.nix names.
rm -rf "$cache/roots" && mkdir "$cache/roots"
while read -r path; do
  nix_store --realise --indirect --add-root "$cache/roots/$(basename "$path")" "$path" >/dev/null
done <"$work/paths"

mv "$work/debian.tsv" "$work/paths" "$work/host.nix" "$cache/"
stamp >"$work/stamp" && mv "$work/stamp" "$cache/stamp"
say "ready: $cache"
