#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the format of every Swift file, and the English of all files. With --fix it formats the Swift
# files instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    "") action=(lint --strict) ;;
    --fix) action=(format --in-place) ;;
    *)
        echo "usage: scripts/lint.sh [--fix]" >&2
        exit 2
        ;;
esac

find . -name .build -prune -o -name '*.swift' -type f -print0 |
    sort -z |
    xargs -0 swift format "${action[@]}" --configuration .swift-format --parallel

if [[ ${1:-} != --fix ]]; then
    python3 -B scripts/check_english.py
fi
