#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and tests the adapters with all traits together, builds each with its trait alone, then builds and
# tests without any, in one .build.
#
# In this order the frameworks are built once: with all traits on, each of them has what any single
# trait needs. The last step leaves .build as a plain `swift build` would have it. A trait alone changes
# what is there, not what it does: so the adapter has to compile then, and its tests run once, with all of them.
#
#   scripts/traits.sh              everything
#   scripts/traits.sh together     only all of them at once
#   scripts/traits.sh names        prints the traits, with commas between them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2206 # one flag for each word
flags=(${SWIFT_BUILD_FLAGS:-})

# The names of the package's traits, one a line.
traits() {
    swift package dump-package | python3 -c '
import json, sys
print(*sorted({trait["name"] for trait in json.load(sys.stdin)["traits"]} - {"default"}), sep="\n")'
}

# SwiftPM writes the flags of traits in the order of a set; were it another one in each run, everything would be
# compiled again. The tests keep their own order, which is as it happens.
build() {
    SWIFT_DETERMINISTIC_HASHING=1 swift build ${flags[@]+"${flags[@]}"} "$@"
}

# Builds with these traits and runs the tests whose names match.
check() {
    local names="$1" filter="$2"
    printf '\n-- traits: %s\n' "${names:-none}"
    local chosen=()
    if [[ -n $names ]]; then
        chosen=(--traits "$names")
    fi
    build ${chosen[@]+"${chosen[@]}"} --build-tests
    swift test ${flags[@]+"${flags[@]}"} ${chosen[@]+"${chosen[@]}"} --skip-build --filter "$filter"
}

# Builds one adapter with nothing but its trait.
build_alone() {
    printf '\n-- traits: %s\n' "$1"
    build --traits "$1" --target "$(adapter_of "$1")"
}

# The adapter that a trait is for.
adapter_of() {
    case "$1" in
        HTTPTypes) echo OutriderNIO ;;
        *) echo "Outrider$1" ;;
    esac
}

mapfile -t names < <(traits)
if [[ ${#names[@]} -eq 0 ]]; then
    echo "traits.sh: the package has no traits" >&2
    exit 1
fi

together="$(IFS=,; echo "${names[*]}")"
if [[ ${1:-} == names ]]; then
    echo "$together"
    exit 0
fi

check "$together" 'Outrider(Hummingbird|NIO|FlyingFox|GRPC|AsyncHTTPClient|ServiceLifecycle|Tracing|Logging)Tests'
if [[ ${1:-} == together ]]; then
    exit 0
fi
# Now, while the build has the adapters in it.
printf '\n-- the public API\n'
scripts/api.sh --check
for name in "${names[@]}"; do
    build_alone "$name"
done
check "" 'OutriderHTTPTests'

printf '\n-- what a user of the core fetches\n'
consumer=(--package-path Tests/Consumer --scratch-path .build/consumer)
rm -rf .build/consumer
swift package "${consumer[@]}" show-dependencies --format json | python3 -c '
import json, sys

def names(package):
    for dependency in package["dependencies"]:
        yield dependency["name"]
        yield from names(dependency)

fetched = sorted(set(names(json.load(sys.stdin))) - {"outrider"})
print(*fetched)
sys.exit(fetched != ["swift-metrics"])'
checkouts="$(ls .build/consumer/checkouts)"
if [[ $checkouts != swift-metrics ]]; then
    echo "traits.sh: a user of the core fetches: $checkouts" >&2
    exit 1
fi
