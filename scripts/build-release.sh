#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a product of a nested package for release and prints the path of its program.
#
#   scripts/build-release.sh examples/quickstart quickstart
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=$1
product=$2

# Packages with the same dependencies share a folder, so that Outrider is built once for them.
case "$package" in
    examples) scratch=.build/examples-large ;;
    examples/*) scratch=.build/examples-small ;;
    Tests/Hosts) scratch=.build/hosts ;;
    *) scratch="$package/.build" ;;
esac

# SwiftPM keeps its plan as long as the nested package itself does not change, and so misses files
# that were added to Outrider. Without the plan it makes a new one; nothing is built twice.
rm -f "$scratch/release.yaml"

# shellcheck disable=SC2206 # one flag for each word
build=(swift build -c release --package-path "$package" --scratch-path "$scratch" ${SWIFT_BUILD_FLAGS:-})
# As small images have it.
if [[ $package == Tests/Hosts ]]; then
    build+=(--static-swift-stdlib)
fi
# SwiftPM writes the flags of traits in the order of a set; were it another one in each run, all that has traits
# would be compiled again.
export SWIFT_DETERMINISTIC_HASHING=1
"${build[@]}" --product "$product" >&2
echo "$("${build[@]}" --show-bin-path)/$product"
