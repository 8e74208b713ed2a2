#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Extracts the public symbols of the library modules from a build.

usage: symbol-graphs.py <build tree> <package description> <output folder>

`swift package dump-symbol-graph` does the same for every module of the package, tests included, and
builds again first; this script takes the modules of the library products only, with the import
paths in the build's plan.
"""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api import library_modules, load

TAKES_VALUE = {"-I", "-F", "-Xcc", "-target", "-sdk", "-module-cache-path"}
"""Compiler arguments that locate a module and its imports, each with a value."""


def compile_arguments(plan: str, module: str) -> list[str]:
    """The arguments with which the build's plan compiles a module."""
    found = re.search(rf'^  "C\.{module}-[^"]*\.module":\n(?:    .*\n)*?    args: (\[.*\])$', plan, re.MULTILINE)
    if not found:
        sys.exit(f"symbol-graphs: the build does not contain the module {module}")
    return json.loads(found[1])


def import_arguments(arguments: list[str]) -> list[str]:
    """The arguments that symbol extraction needs as well."""
    kept = []
    pairs = iter(arguments)
    for argument in pairs:
        if argument in TAKES_VALUE:
            kept += [argument, next(pairs)]
        elif argument.startswith(("-I", "-F")):
            kept.append(argument)
    return kept


def extract(arguments: list[str], module: str, output: str) -> None:
    """Writes the symbol graphs of a module."""
    tool = str(Path(arguments[0]).with_name("swift-symbolgraph-extract"))
    subprocess.run(
        [tool, "-module-name", module, "-minimum-access-level", "public", "-skip-synthesized-members",
         "-output-dir", output, *import_arguments(arguments)],
        check=True)


def main() -> None:
    tree, package, output = sys.argv[1:]
    plan = (Path(tree) / "debug.yaml").read_text(encoding="utf-8")
    Path(output).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(extract, compile_arguments(plan, module), module, output)
            for module in library_modules(load(package))
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
