#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes the public declarations of each library module to api/<Module>.txt. With --check it only
# compares, and fails if the files differ from the sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

case "${1:-}" in
    "" | --check) ;;
    *)
        echo "usage: scripts/api.sh [--check]" >&2
        exit 2
        ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

graphs="$work/graphs"
extract_symbols "$work/package.json" "$graphs"

if [[ ${1:-} != --check ]]; then
    python3 scripts/api.py "$work/package.json" "$graphs" api
    exit
fi

mkdir "$work/api"
python3 scripts/api.py "$work/package.json" "$graphs" "$work/api"
if [[ ! -d api ]] || ! diff -ruN api "$work/api"; then
    echo "The public API differs from api/. Run 'make api' and commit the changes." >&2
    exit 1
fi
echo "The public API matches api/."
