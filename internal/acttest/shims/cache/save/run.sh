#!/usr/bin/env bash
set -euo pipefail
FROM=${FROM/#\~/$HOME}
[ -d "$FROM" ] || exit 0
mkdir -p "$ACTTEST_CACHE"
[ -d "$ACTTEST_CACHE/$KEY" ] || cp -r "$FROM" "$ACTTEST_CACHE/$KEY"
