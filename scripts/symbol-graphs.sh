#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Extracts the public symbols of all modules and prints the folder that holds them. It reuses the
# debug build in .build and leaves it as it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Symbols of a module or an extension that is gone by now would stay otherwise.
rm -rf .build/*/symbolgraph

log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2086 # one flag for each word
if ! swift package ${SWIFT_BUILD_FLAGS:-} dump-symbol-graph \
    --minimum-access-level public --skip-synthesized-members >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
sed -n 's/^Files written to //p' "$log"
