# SPDX-License-Identifier: Apache-2.0
"""Parser for the imports of Swift files, shared by check_layers.py and check_manifests.py."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

IMPORT = re.compile(
    r"""^\s*
    (?:@\w+(?:\([^)]*\))?\s+)*                                        # @_exported, @_spi(X), ...
    (?:(?:public|package|internal|fileprivate|private)\s+)?
    import\s+
    (?:(?:typealias|struct|class|enum|protocol|let|var|func)\s+)?   # import struct A.B
    `?(?P<module>\w+)""",
    re.VERBOSE,
)
DIRECTIVE = re.compile(r"^\s*#(if|elseif|else|endif)\b\s*(.*?)\s*(?://.*)?$")


class Import(NamedTuple):
    """An import declaration: its line, its module, and the conditions around it."""

    line: int
    module: str
    conditions: frozenset[str]
    """Names that are all set if it is compiled: `A` and `B` within `#if A && B`."""


def names_in(condition: str) -> frozenset[str]:
    """The names that must all be set for a condition to hold; empty unless it is a conjunction of
    names."""
    parts = [part.strip() for part in condition.split("&&")]
    return frozenset(parts) if all(re.fullmatch(r"\w+", part) for part in parts) else frozenset()


def imports_of(file: Path) -> Iterator[Import]:
    """The imports of a file, in order."""
    conditions: list[frozenset[str]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if directive := DIRECTIVE.match(line):
            word, rest = directive.groups()
            if word != "if":
                conditions.pop()
            if word != "endif":
                conditions.append(names_in(rest) if word != "else" else frozenset())
        elif found := IMPORT.match(line):
            yield Import(number, found["module"], frozenset().union(*conditions))


def is_code(line: str) -> bool:
    """Whether a line has code, and not only a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("//")


def guard_of(file: Path) -> frozenset[str]:
    """The names in the `#if` around all code of a file; empty if there is code outside."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if is_code(line)]
    depth = 0
    for number, line in enumerate(lines):
        if directive := DIRECTIVE.match(line):
            depth += {"if": 1, "endif": -1}.get(directive[1], 0)
            if depth == 1 and directive[1] in ("else", "elseif"):
                return frozenset()
        if depth == 0 and number < len(lines) - 1:
            return frozenset()
    first = DIRECTIVE.match(lines[0]) if lines else None
    return names_in(first[2]) if first else frozenset()
