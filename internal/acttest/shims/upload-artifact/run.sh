#!/usr/bin/env bash
set -euo pipefail
if [[ $NAME =~ [\":\<\>\|\*\?\\/] ]]; then echo "::error::$NAME is no name of an artifact"; exit 1; fi
if [ ! -e "$FROM" ] || [ -z "$(find "$FROM" -type f -print -quit)" ]; then
  [ "$NONE" != error ] || { echo "::error::nothing at $FROM"; exit 1; }
  exit 0
fi
mkdir -p "$ACTTEST_ARTIFACTS"
mkdir "$ACTTEST_ARTIFACTS/$NAME" || { echo "::error::409: an artifact $NAME exists"; exit 1; }
if [ -d "$FROM" ]; then cp -r "$FROM/." "$ACTTEST_ARTIFACTS/$NAME"; else cp "$FROM" "$ACTTEST_ARTIFACTS/$NAME"; fi
echo "artifact-id=$(stat -c %i "$ACTTEST_ARTIFACTS/$NAME")" >>"$GITHUB_OUTPUT"
