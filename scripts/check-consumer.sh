#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks what a user of the core fetches: swift-metrics, and no other package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

tree=.build/consumer
consumer=(--package-path Tests/Consumer --scratch-path "$tree")
rm -rf "$tree"
swift_package "${consumer[@]}" show-dependencies --format json | python3 -c '
import json, sys

def names(package):
    for dependency in package["dependencies"]:
        yield dependency["name"]
        yield from names(dependency)

fetched = sorted(set(names(json.load(sys.stdin))) - {"outrider"})
print("A user of the core fetches:", *fetched)
sys.exit(fetched != ["swift-metrics"])'
checkouts="$(ls "$tree/checkouts")"
if [[ $checkouts != swift-metrics ]]; then
    echo "check-consumer: a user of the core fetches: $checkouts" >&2
    exit 1
fi
