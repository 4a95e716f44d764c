# Runs the phases of a derivation, with nixpkgs' names: each phase may be replaced by a variable of its
# name, and has pre and post hooks.
set -eu -o pipefail
shopt -s nullglob

export PATH=$toolchain/bin HOME=/homeless-shelter SHELL=$toolchain/bin/bash CONFIG_SHELL=$toolchain/bin/dash
export TMPDIR=$NIX_BUILD_TOP TZ=UTC LC_ALL=C
export NIX_CFLAGS_COMPILE=${NIX_CFLAGS_COMPILE:-} NIX_LDFLAGS=${NIX_LDFLAGS:-}
prefix=${prefix:-$out}

for input in ${nativeBuildInputs:-} ${buildInputs:-} ${propagatedBuildInputs:-}; do
  if [ -d "$input/bin" ]; then PATH=$input/bin:$PATH; fi
done
for input in ${buildInputs:-} ${propagatedBuildInputs:-}; do
  if [ -d "$input/include" ]; then NIX_CFLAGS_COMPILE+=" -isystem $input/include"; fi
  if [ -d "$input/lib" ]; then NIX_LDFLAGS+=" -L$input/lib -Wl,-rpath,$input/lib"; fi
done

# runHook NAME: the function or the script in the variable of that name, if any.
runHook() {
  local hook=$1
  if declare -F "$hook" >/dev/null; then "$hook"; elif [ -n "${!hook:-}" ]; then eval "${!hook}"; fi
}

# substituteInPlace FILE... --replace-fail OLD NEW ...: exact text; a text that is not there is an error.
substituteInPlace() {
  local files=() text file how old new
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do files+=("$1"); shift; done
  local options=("$@")
  for file in "${files[@]}"; do
    text=$(cat "$file"; echo x); text=${text%x}
    set -- "${options[@]}"
    while [ $# -gt 0 ]; do
      how=$1 old=$2
      case $how in
        --replace-fail | --replace | --replace-warn | --replace-quiet) new=$3; shift 3 ;;
        --subst-var-by) old="@$2@" new=$3; shift 3 ;;
        --subst-var) old="@$2@" new=${!2}; shift 2 ;;
        *) echo "substituteInPlace: unknown option $how" >&2; return 1 ;;
      esac
      if [[ $how == --replace-fail && $text != *"$old"* ]]; then
        echo "substituteInPlace: $file does not contain '$old'" >&2
        return 1
      fi
      text=${text//"$old"/"$new"}
    done
    printf %s "$text" >"$file"
  done
}

unpackPhase() {
  local archive=${src:?no src: set it, or dontUnpack}
  if [ -d "$archive" ]; then
    cp -r "$archive" source
    chmod -R u+w source
  else
    case $archive in
      *.tar* | *.tgz) tar -xf "$archive" --no-same-owner ;;
      *) echo "do not know how to unpack $archive" >&2; return 1 ;;
    esac
  fi
  if [ -z "${sourceRoot:-}" ]; then
    local folders=(*/)
    if [ ${#folders[@]} != 1 ]; then echo "unpacking made ${#folders[@]} folders (${folders[*]}): set sourceRoot" >&2; return 1; fi
    sourceRoot=${folders[0]}
  fi
  cd "$sourceRoot"
}

patchPhase() {
  local p
  for p in ${patches:-}; do
    echo "applying patch $p"
    patch ${patchFlags:--p1} --no-backup-if-mismatch <"$p"
  done
}

configurePhase() {
  if [ -x ./configure ]; then
    if [ -n "${configureCache:-}" ]; then
      cp "$configureCache" config.cache
      chmod u+w config.cache
      configureFlags+=" --cache-file=config.cache"
    fi
    $CONFIG_SHELL ./configure --prefix="$prefix" ${configureFlags:-}
  fi
}

buildPhase() {
  if [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; then
    make SHELL="$CONFIG_SHELL" ${enableParallelBuilding:+-j"$NIX_BUILD_CORES"} ${makeFlags:-} ${buildFlags:-}
  fi
}

checkPhase() { make SHELL="$CONFIG_SHELL" ${makeFlags:-} ${checkTarget:-check}; }

installPhase() {
  mkdir -p "$out"
  make SHELL="$CONFIG_SHELL" ${makeFlags:-} ${installFlags:-} ${installTargets:-install}
}

fixupPhase() {
  local output file
  for output in $outputs; do
    if [ ! -e "${!output}" ]; then echo "builder made no output '$output'" >&2; return 1; fi
    if [ -d "${!output}" ]; then
      rm -rf "${!output}/share/"{man,info,doc,locale} "${!output}/man"
      if [ -d "${!output}/share" ]; then rmdir --ignore-fail-on-non-empty "${!output}/share"; fi
      find "${!output}" -type f \( -path '*/bin/*' -o -path '*/sbin/*' -o -name '*.so*' \) | while read -r file; do
        case $(head -c 4 "$file" | tr -d '\0') in
          *ELF) if [ -z "${dontStrip:-}" ]; then strip -S "$file"; fi ;;
          '#!'*)
            # Nothing is at /bin/sh in the sandbox, and a guest's may be another.
            sed -i "1s|^#! *\(/usr\)\{0,1\}/bin/\(sh\|bash\)|#!${shellForScripts:-/bin/sh}|" "$file"
            ;;
        esac
      done
    fi
  done
}

# runPhase NAME: the phase with its hooks, skipped where the derivation asks for it.
runPhase() {
  local phase=$1 name=${1%Phase} skip
  skip=dont${name^}
  case $phase in
    checkPhase) if [ -z "${doCheck:-}" ]; then return 0; fi ;;
    *) if [ -n "${!skip:-}" ]; then return 0; fi ;;
  esac
  echo "@nix { \"action\": \"setPhase\", \"phase\": \"$phase\" }" >&2
  echo "--- $phase"
  runHook "pre${name^}"
  if [ -n "${!phase:-}" ]; then eval "${!phase}"; else "$phase"; fi
  runHook "post${name^}"
}

if [ -n "${buildCommand:-}" ]; then
  eval "$buildCommand"
else
  for phase in ${phases:-unpackPhase patchPhase configurePhase buildPhase checkPhase installPhase fixupPhase}; do
    runPhase "$phase"
  done
fi
