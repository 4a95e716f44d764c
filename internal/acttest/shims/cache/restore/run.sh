#!/usr/bin/env bash
set -euo pipefail
TO=${TO/#\~/$HOME}
from=$ACTTEST_CACHE/$KEY hit=true
if [ ! -d "$from" ]; then
  hit=''
  from=
  if [ -n "$PREFIX" ]; then from=$(ls -td "$ACTTEST_CACHE/$PREFIX"*/ 2>/dev/null | head -1 || true); fi
fi
if [ -n "$from" ]; then mkdir -p "$TO"; cp -r "$from/." "$TO"; fi
echo "hit=$hit" >>"$GITHUB_OUTPUT"
