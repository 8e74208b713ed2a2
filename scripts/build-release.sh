#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds programs of Tests/Programs for release and prints the path of each.
#
#   scripts/build-release.sh storefront chat
#   scripts/build-release.sh --all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if [[ $# -eq 0 ]]; then
    echo "usage: scripts/build-release.sh --all | PROGRAM ..." >&2
    exit 2
fi

tree=.build/programs
package=(-c release "${quick_build[@]}" --package-path Tests/Programs --scratch-path "$tree")

# SwiftPM keeps its build plan while the nested package itself does not change, and so misses files
# added to Outrider. Without the plan it makes a new one; nothing is built twice.
rm -f "$tree/release.yaml"

if [[ $1 == --all ]]; then
    swift_build "${package[@]}" >&2
    exit
fi
for program in "$@"; do
    swift_build "${package[@]}" --product "$program" >&2
    echo "$PWD/$tree/release/$program"
done
