#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks manifests and imports for properties that would otherwise need a build for each trait.

- A target declares every module that it imports as a dependency.
- The dependencies of an adapter come with its trait: each import of a framework is within
  `#if TRAIT`, and the manifest has the framework's product for that trait, or for one that it
  enables. All code of an adapter is within its trait, so that it is empty without.
- No target needs a package other than swift-metrics while no trait is on.
- No target has a setting that only a root package may have: Outrider must build when it is taken
  by URL, too.
- The examples' own manifests and Tests/Programs agree on each example.

The builds themselves, of each trait and each example, run every night: scripts/traits.sh.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from check_layers import SYSTEM
from imports import guard_of, imports_of

ROOT = Path(__file__).resolve().parent.parent
# Modules that come with the toolchain.
TOOLCHAIN = SYSTEM | {
    "Dispatch", "Foundation", "FoundationEssentials", "FoundationNetworking", "Testing", "XCTest", "Swift",
    "_Concurrency", "Distributed", "RegexBuilder",
}
CORE_PACKAGE = "swift-metrics"
# Flags that SwiftPM rejects in a dependency, and flags that conflict with its own for a dependency,
# `-suppress-warnings`.
ROOT_ONLY = {"unsafeFlags", "treatAllWarnings", "treatWarning"}
EXAMPLES = {"examples": ["storefront", "chat"], "examples/quickstart": ["quickstart"], "examples/memory-lab": ["memory-lab"]}


def manifest(folder: str) -> dict[str, Any]:
    """SwiftPM's description of a package."""
    command = ["swift", "package", "--package-path", str(ROOT / folder), "dump-package"]
    # As in scripts/lib.sh: SwiftPM caches manifests for each environment.
    environment = os.environ | {"SWIFT_DETERMINISTIC_HASHING": "1"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    if shown.returncode != 0:
        sys.exit(f"check_manifests: the manifest of {folder} cannot be read:\n{shown.stderr}")
    return json.loads(shown.stdout)


def products_of(target: dict[str, Any]) -> dict[str, tuple[str, frozenset[str]]]:
    """The products that a target depends on: for each its package, and the traits that it is
    conditional on."""
    found = {}
    for dependency in target["dependencies"]:
        if "product" in dependency:
            name, package, _, condition = dependency["product"]
            found[name] = (package, frozenset((condition or {}).get("traits") or ()))
    return found


def targets_of(target: dict[str, Any]) -> set[str]:
    """The targets of the same package that a target depends on."""
    kinds = [dependency.get("byName") or dependency.get("target") for dependency in target["dependencies"]]
    return {kind[0] for kind in kinds if kind}


def enabled_by(package: dict[str, Any]) -> dict[str, frozenset[str]]:
    """For each trait, the traits that it turns on, itself included."""
    direct = {trait["name"]: set(trait["enabledTraits"]) for trait in package["traits"]}
    closure = {}
    for name in direct:
        found, left = {name}, [name]
        while left:
            new = direct.get(left.pop(), set()) - found
            found |= new
            left += new
        closure[name] = frozenset(found)
    return closure


def folder_of(target: dict[str, Any]) -> Path:
    """The folder of a target's sources."""
    return ROOT / (target.get("path") or f"{'Tests' if target['type'] == 'test' else 'Sources'}/{target['name']}")


def faults_of_file(file: Path, target: dict[str, Any], package: dict[str, Any]) -> Iterator[str]:
    """Yields a message for each import of a file that the manifest does not cover."""
    own = {other["name"] for other in package["targets"]}
    products, traits = products_of(target), enabled_by(package)
    for found in imports_of(file):
        place = f"{file.relative_to(ROOT)}:{found.line}"
        if found.module in TOOLCHAIN or found.module == target["name"]:
            continue
        if found.module in own:
            if found.module not in targets_of(target):
                yield f"{place}: {target['name']} imports {found.module}, which it does not depend on"
            continue
        if found.module not in products:
            yield f"{place}: {target['name']} imports {found.module}, whose product it does not depend on"
            continue
        needed = products[found.module][1]
        given = frozenset().union(*(traits.get(name, ()) for name in found.conditions))
        if needed and not needed & given:
            within = " && ".join(sorted(found.conditions)) or "no trait"
            yield f"{place}: {found.module} needs the traits {sorted(needed)}, but is imported with {within}"


def faults_of_package(package: dict[str, Any]) -> Iterator[str]:
    """Yields faults of Outrider's own manifest, and of its sources compared with it."""
    names = {trait["name"] for trait in package["traits"]}
    for target in package["targets"]:
        if target["type"] == "system":
            continue
        for kind in sorted({kind for setting in target["settings"] for kind in setting["kind"]} & ROOT_ONLY):
            yield f"Package.swift: {target['name']} has the setting {kind}, which only a root package may have"
        needed: set[str] = set()
        for name, (source, traits) in products_of(target).items():
            needed |= traits
            if not traits and source != CORE_PACKAGE:
                yield f"Package.swift: {target['name']} depends on {name} of {source} without a trait"
        for file in sorted(folder_of(target).rglob("*.swift")):
            yield from faults_of_file(file, target, package)
            if needed and not guard_of(file) & names:
                yield f"{file.relative_to(ROOT)}: code outside of `#if TRAIT`"


def sources_of(package: dict[str, Any]) -> dict[str, Any]:
    """The version requirement of each package that a manifest depends on; Outrider has none."""
    found = {}
    for dependency in package["dependencies"]:
        for source in dependency.get("sourceControl", []):
            found[source["identity"]] = source["requirement"]
    return found


def outrider_traits(package: dict[str, Any]) -> set[str]:
    """The traits of Outrider that a manifest turns on."""
    local = [source for dependency in package["dependencies"] for source in dependency.get("fileSystem", [])]
    return {trait["name"] for source in local for trait in source["traits"]} - {"default"}


def faults_of_examples(traits: set[str]) -> Iterator[str]:
    """Yields differences between the manifests of the examples and that of Tests/Programs."""
    programs = manifest("Tests/Programs")
    built = {target["name"]: target for target in programs["targets"]}
    for folder, names in EXAMPLES.items():
        own = manifest(folder)
        targets = {target["name"]: target for target in own["targets"]}
        if sorted(targets) != sorted(names):
            yield f"{folder}/Package.swift has the targets {sorted(targets)}, scripts/check_manifests.py expects {sorted(names)}"
        for name, target in targets.items():
            if name not in built or products_of(target) != products_of(built[name]):
                yield f"{folder}/Package.swift and Tests/Programs/Package.swift differ in the dependencies of {name}"
            adapters = {product.removeprefix("Outrider") for product in products_of(target)} & traits
            if missing := adapters - outrider_traits(own):
                yield f"{folder}/Package.swift: {name} uses adapters without their traits {sorted(missing)}"
        if not outrider_traits(own) <= outrider_traits(programs):
            yield f"Tests/Programs/Package.swift lacks traits of {folder}"
        for identity, requirement in sources_of(own).items():
            if sources_of(programs).get(identity) != requirement:
                yield f"{folder}/Package.swift and Tests/Programs/Package.swift require different versions of {identity}"


def main() -> int:
    package = manifest(".")
    traits = {trait["name"] for trait in package["traits"]} - {"default"}
    faults = [*faults_of_package(package), *faults_of_examples(traits)]
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    if faults:
        return 1
    print(f"The dependencies of {len(package['targets'])} targets and of the examples are complete, each with its trait.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
