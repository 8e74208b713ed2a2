#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the package from the view of a user of the core.
#
#   scripts/check-consumer.sh            it fetches swift-metrics, and no other package
#   scripts/check-consumer.sh --build    it also builds, taken by URL and version, with each build system of SwiftPM
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if [[ $# -gt 1 || ${1:---build} != --build ]]; then
    echo "usage: scripts/check-consumer.sh [--build]" >&2
    exit 2
fi

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
print("A package that depends on the core fetches:", *fetched)
sys.exit(fetched != ["swift-metrics"])'
checkouts="$(ls "$tree/checkouts")"
if [[ $checkouts != swift-metrics ]]; then
    echo "check-consumer: a package that depends on the core fetches more than swift-metrics: $checkouts" >&2
    exit 1
fi
[[ ${1:-} == --build ]] || exit 0

# SwiftPM compiles a package that is taken by URL with other flags than one that is taken by path:
# without warnings.
version=0.1.0
work="$PWD/.build/consumer-by-url"
rm -rf "$work"
mkdir -p "$work"
git clone --quiet --bare . "$work/outrider.git"
git -C "$work/outrider.git" tag --force "$version" HEAD >/dev/null
cp -R Tests/Consumer "$work/consumer"
by_path='.package(name: "outrider", path: "../..")'
by_url=".package(url: \"file://$work/outrider.git\", exact: \"$version\")"
manifest="$(<"$work/consumer/Package.swift")"
if [[ $manifest != *"$by_path"* ]]; then
    echo "check-consumer: Tests/Consumer/Package.swift does not depend on the package by path" >&2
    exit 1
fi
printf '%s\n' "${manifest/"$by_path"/"$by_url"}" >"$work/consumer/Package.swift"
for system in native swiftbuild; do
    printf '\n-- build system %s\n' "$system"
    # A package cache would keep the tag's commit of an earlier run.
    swift_build --package-path "$work/consumer" --scratch-path "$work/$system" --disable-dependency-cache \
        --build-system "$system"
    said="$(swift run --package-path "$work/consumer" --scratch-path "$work/$system" --disable-dependency-cache \
        --build-system "$system" --skip-build consumer | tail -n 1)"
    if [[ $said != true ]]; then
        echo "check-consumer: built with $system, the program printed '$said' instead of 'true'" >&2
        exit 1
    fi
done
