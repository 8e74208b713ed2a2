#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each adapter with nothing but its own trait, then runs the tests without any trait: nine builds, for
# every night. Every change is checked by scripts/check_manifests.py instead, which reads from the manifest and
# the imports that an adapter's dependencies come with its trait.
#
#   scripts/traits.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# All traits first: the frameworks are built once, each with what any single trait needs.
choose_all_traits
swift_build "${all_traits[@]}"

# The adapter that a trait is for.
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
