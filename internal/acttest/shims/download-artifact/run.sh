#!/usr/bin/env bash
set -euo pipefail
mkdir -p "$DEST"
if [ -n "$NAME" ]; then
  [ -d "$ACTTEST_ARTIFACTS/$NAME" ] || { echo "::error::no artifact $NAME"; exit 1; }
  cp -r "$ACTTEST_ARTIFACTS/$NAME/." "$DEST"
fi
for dir in "$ACTTEST_ARTIFACTS"/*/; do
  name=$(basename "$dir")
  if [ -n "$ID" ] && [ "$(stat -c %i "$dir")" = "$ID" ]; then cp -r "$dir/." "$DEST"; fi
  # shellcheck disable=SC2053
  if [ -n "$PATTERN" ] && [[ $name == $PATTERN ]]; then
    if [ "$MERGE" = true ]; then cp -r "$dir/." "$DEST"; else cp -r "$dir" "$DEST/$name"; fi
  fi
done
