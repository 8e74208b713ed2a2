#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each adapter with its own trait only, then runs the tests without any trait: nine builds,
# run every night. For each change, scripts/check_manifests.py checks instead, from the manifest and
# the imports, that an adapter's dependencies come with its trait.
#
#   scripts/traits.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# All traits first: the frameworks are built once, each with the parts that any single trait needs.
choose_all_traits
swift_build "${all_traits[@]}"

# The adapter that belongs to a trait.
adapter_of() {
    case "$1" in
        HTTPTypes) echo OutriderNIO ;;
        *) echo "Outrider$1" ;;
    esac
}

mapfile -t names < <(trait_names)
for name in "${names[@]}"; do
    printf '\n-- only the trait %s\n' "$name"
    swift_build "${all_traits_tree[@]}" --traits "$name" --target "$(adapter_of "$name")"
done

printf '\n-- no traits\n'
swift_build --build-tests
swift test ${build_flags[@]+"${build_flags[@]}"} --skip-build
