#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares every row of libraries' unwind tables with readelf's output.

    unwind_rows.py <the program unwind_rows> <library>...

readelf is an independent reader of .eh_frame. Each of its rows is compared at its first and its
last byte, and between two functions there must be no row.
"""

import re
import subprocess
import sys

ENTRY = re.compile(r"\S+ \S+ \S+ (CIE .*|FDE cie=(\S+) pc=(\w+)\.\.(\w+))")
PADDING = 16  # a smaller gap between two functions needs no stop


def entries(library):
    """Yields (start, end, rows) of each function; a row is (address, {column: text})."""
    printed = subprocess.run(
        ["readelf", "--debug-dump=frames-interp,no-follow-links", library],
        check=True, capture_output=True, text=True, timeout=120).stdout
    common, functions, rows, columns = {}, [], [], []
    for line in printed.splitlines():
        words = re.sub(r" \(\w+\)", "", line).split()  # a register is "r9 (r9)"
        entry = ENTRY.match(line)
        if entry:
            rows = []
            if entry[2] is None:
                common[words[0]] = rows
            else:
                functions.append((int(entry[3], 16), int(entry[4], 16), entry[2], rows))
        elif words[:2] == ["LOC", "CFA"]:
            columns = words[1:]
        elif words and re.fullmatch(r"[0-9a-f]{16}", words[0]):
            rows.append((int(words[0], 16), dict(zip(columns, words[1:], strict=True))))
    for start, end, cie, rows in sorted(functions, key=lambda each: each[0]):
        if not rows:  # readelf prints none if the common part covers the function
            rows = [(start, common[cie][0][1])]
        yield start, end, rows


def rule(row):
    """The expected table row for a row of readelf."""
    if row["ra"] == "u":
        return "outermost"
    base = re.fullmatch(r"(rsp|rbp)\+(\d+)", row["CFA"])
    saved = row.get("rbp", "u").replace("s", "u")
    slot = re.fullmatch(r"c-(\d+)", saved)
    if (not base or int(base[2]) % 8 or row["ra"] != "c-8" or row.get("rsp", "u") not in "us"
            or saved != "u" and not (slot and int(slot[1]) % 8 == 0 and int(slot[1]) < 2048)):
        return "stop"
    return f"{row['CFA']} {saved}"


def questions(library):
    """Yields addresses with the expected rows."""
    known = None
    for start, end, rows in entries(library):
        if known is not None and start - known >= PADDING:
            yield known, "stop"
            yield start - 1, "stop"
        known = max(end, known or 0)
        following = [address for address, _ in rows[1:]] + [end]
        for (address, row), until in zip(rows, following, strict=True):
            if address < until:
                yield address, rule(row)
                yield until - 1, rule(row)


def ask(program, library, addresses):
    """Returns the library's path and its table's row for each address."""
    lines = subprocess.run(
        [program, library], input="".join(f"{address:x}\n" for address in addresses),
        check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    return lines[0], lines[1:]


def main():
    program, libraries = sys.argv[1], sys.argv[2:]
    total = 0
    for library in libraries:
        path, _ = ask(program, library, [])
        asked = list(questions(path))
        _, answers = ask(program, library, [address for address, _ in asked])
        if len(answers) != len(asked) or len(asked) < 50:
            sys.exit(f"{path}: {len(answers)} rows for {len(asked)} addresses")
        for (address, expected), answer in zip(asked, answers, strict=True):
            if answer != expected:
                sys.exit(f"{path}: {address:#x} is {answer!r}, but {expected!r} in readelf")
        total += len(asked)
    print(f"unwind_rows: {total} addresses in {len(libraries)} libraries match readelf")


if __name__ == "__main__":
    main()
