#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Extracts the public symbols of all modules, adapters included, and prints the folder that holds
# them. It reuses a debug build with all traits in .build, or makes one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2206 # one flag for each word
flags=(${SWIFT_BUILD_FLAGS:-} --traits "$(scripts/traits.sh names)")
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# Symbols of a module or an extension that is gone by now would stay otherwise.
rm -rf .build/*/symbolgraph

# The order of flags, as in scripts/traits.sh.
export SWIFT_DETERMINISTIC_HASHING=1
swift build ${flags[@]+"${flags[@]}"} >&2

# This asks for the test modules too and fails where they are not built. Nobody needs those here,
# and who reads the folder fails when a library is missing in it.
swift package ${flags[@]+"${flags[@]}"} dump-symbol-graph \
    --minimum-access-level public --skip-synthesized-members >"$log" 2>&1 || true
if ! grep -q '^Files written to ' "$log"; then
    cat "$log" >&2
    exit 1
fi
sed -n 's/^Files written to //p' "$log"
