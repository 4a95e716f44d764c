#!/usr/bin/env bash
set -euo pipefail
if [ -n "$SUMS" ]; then cat "$SUMS"; else ls -l $SUBJECTS; fi
