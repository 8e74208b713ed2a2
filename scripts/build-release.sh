#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a product of a nested package for release and prints the path of its program.
#
#   scripts/build-release.sh examples/quickstart quickstart
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=$1
product=$2

# SwiftPM keeps its plan as long as the nested package itself does not change, and so misses files
# that were added to Outrider. Without the plan it makes a new one; nothing is built twice.
rm -f "$package/.build/release.yaml"

# shellcheck disable=SC2206 # one flag for each word
build=(swift build -c release --package-path "$package" ${SWIFT_BUILD_FLAGS:-})
"${build[@]}" --product "$product" >&2
echo "$("${build[@]}" --show-bin-path)/$product"
