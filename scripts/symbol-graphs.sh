#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Extracts the public symbols of all modules, adapters included, and prints the folder that holds
# them. It reuses the debug build with all traits, or makes one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

choose_all_traits
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# Symbols of a module or an extension that is gone by now would stay otherwise.
rm -rf .build/all-traits/*/symbolgraph

export SWIFT_DETERMINISTIC_HASHING=1
swift_build "${all_traits[@]}" >&2

# This asks for the test modules too and fails where they are not built. Nobody needs those here,
# and who reads the folder fails when a library is missing in it.
swift package ${build_flags[@]+"${build_flags[@]}"} "${all_traits[@]}" dump-symbol-graph \
    --minimum-access-level public --skip-synthesized-members >"$log" 2>&1 || true
if ! grep -q '^Files written to ' "$log"; then
    cat "$log" >&2
    exit 1
fi
sed -n 's/^Files written to //p' "$log"
