#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converts symbol graphs to sorted lists of public declarations, one file for each library module.

usage: api.py <package description> <folder of symbol graphs> <output folder>
       api.py --modules <package description>

Each line is the path of a declaration with its text, or a conformance:

    Counter.increment(by:) — func increment(by amount: Int)
    Counter : Sendable

The lists are for reviewers of a change, so they contain nothing that changes by itself.
"""

import json
import sys
from pathlib import Path

# Conformances that the compiler adds implicitly.
IMPLIED = {"Copyable", "Escapable", "SendableMetatype"}


def load(file):
    """Parses a JSON file."""
    return json.loads(Path(file).read_text(encoding="utf-8"))


def library_modules(package):
    """The Swift modules of the package's library products."""
    modules = {
        target["name"]: target["c99name"]
        for target in package["targets"]
        if target["module_type"] == "SwiftTarget"
    }
    named = {
        target
        for product in package["products"]
        if "library" in product["type"]
        for target in product["targets"]
    }
    return sorted(modules[target] for target in named if target in modules)


def constraints_text(constraints):
    """` where …` for the constraints of an extension, or an empty string."""
    signs = {"conformance": ":", "superclass": ":", "sameType": "=="}
    parts = sorted({f"{c['lhs']} {signs[c['kind']]} {c['rhs']}" for c in constraints or []})
    return f" where {', '.join(parts)}" if parts else ""


def notes(symbol):
    """Details that the declaration itself lacks: the constraints of its extension, its
    availability."""
    text = ""
    constraints = symbol.get("swiftExtension", {}).get("constraints")
    if constraints:
        text += f" [extension{constraints_text(constraints)}]"
    for availability in symbol.get("availability", []):
        if availability.get("isUnconditionallyDeprecated") or "deprecated" in availability:
            text += f" [deprecated: {availability.get('domain', '*')}]"
        if availability.get("isUnconditionallyUnavailable"):
            text += f" [unavailable: {availability.get('domain', '*')}]"
    return text


def lines_of(module, graphs):
    """Yields a sort key and a line for each declaration and conformance of a module's graphs."""
    path_of = {}
    relations = [relation for graph in graphs for relation in graph["relationships"]]
    for relation in relations:
        # Types of other modules are not among the symbols; the members added to them name them.
        if relation["kind"] == "memberOf" and "targetFallback" in relation:
            path_of[relation["target"]] = tuple(relation["targetFallback"].split("."))

    for symbol in (symbol for graph in graphs for symbol in graph["symbols"]):
        path = tuple(symbol["pathComponents"])
        extended = symbol.get("swiftExtension", {}).get("extendedModule", module)
        if extended != module:
            path = (extended, *path)
        path_of[symbol["identifier"]["precise"]] = path
        declaration = "".join(part["spelling"] for part in symbol["declarationFragments"])
        declaration = " ".join(declaration.split())
        yield (path, 0), f"{'.'.join(path)} — {declaration}{notes(symbol)}"

    for relation in relations:
        if relation["kind"] not in ("conformsTo", "inheritsFrom"):
            continue
        source = path_of.get(relation["source"], (relation["source"],))
        fallback = relation.get("targetFallback", relation["target"]).removeprefix("Swift.")
        target = ".".join(path_of.get(relation["target"], (fallback,)))
        if target not in IMPLIED:
            where = constraints_text(relation.get("swiftConstraints"))
            yield (source, 1), f"{'.'.join(source)} : {target}{where}"


def main(arguments):
    if arguments[0] == "--modules":
        print(*library_modules(load(arguments[1])), sep="\n")
        return
    description, graphs, output = (Path(argument) for argument in arguments)
    modules = library_modules(load(description))
    output.mkdir(parents=True, exist_ok=True)
    for stale in output.glob("*.txt"):
        if stale.stem not in modules:
            stale.unlink()
    for module in modules:
        # <Module>@<Other>.symbols.json holds the module's additions to the types of another module.
        files = [
            graphs / f"{module}.symbols.json",
            *graphs.glob(f"{module}@*.symbols.json"),
        ]
        if not files[0].exists():
            sys.exit(f"api: no symbol graph for the module {module}")
        found = set(lines_of(module, [load(file) for file in files]))
        text = f"# The public declarations of {module}, as `make api` found them.\n"
        text += "".join(f"{line}\n" for _, line in sorted(found))
        (output / f"{module}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
