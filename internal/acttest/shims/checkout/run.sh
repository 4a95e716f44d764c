#!/usr/bin/env bash
set -euo pipefail
[ "$CREDENTIALS" = false ] || { echo "::error::a checkout that leaves its token behind"; exit 1; }
case $REPOSITORY in
  "$ACTTEST_REPOSITORY") from=$ACTTEST_ORIGIN ;;
  asterinas/asterbot) from=$ACTTEST_SELF ;;
  *) echo "::error::no repository $REPOSITORY here"; exit 1 ;;
esac
if [ "$from" = "$ACTTEST_SELF" ]; then
  # What the action consists of, as it is now.
  mkdir -p "$DEST"
  dest=$(realpath "$DEST")
  (cd "$from" && cp --parents action.yml VERSION action/setup.sh "$dest")
  exit 0
fi
git clone --quiet --no-checkout "$from" "$DEST"
git -C "$DEST" fetch --quiet origin '+refs/pull/*:refs/remotes/pull/*'
git -C "$DEST" checkout --quiet --detach "${REF:-$GITHUB_SHA}"
