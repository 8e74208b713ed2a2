#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks comments, strings, docs and test names for phrases that sound translated.

    scripts/check_english.py [FOLDER]            fails on phrases that are surely wrong
    scripts/check_english.py --count [FOLDER]    counts tell-tale patterns, by pattern and folder

FOLDER is a checkout, by default this one. A line with `check-english: ok` in a comment, or the line
before it, exempts a phrase. Code, inline code and data are not read.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EXEMPT = "check-english: ok"
SKIPPED = ("api/", "Tests/Fuzz/seeds/", "LICENSE", "scripts/check_english.py")

# Each phrase with a better one. Only phrases that are wrong in any sentence.
WORST = {
    r"(to|cannot|can) be had": "available, unavailable",
    r"at leisure": "later, without haste; or drop it",
    r"in vain": "unsuccessfully",
    r"anew": "again",
    r"nought": "zero",
    r"dearer": "more expensive",
    r"for want of": "for lack of",
    r"as it were": "drop it",
    r"besides(?=[.;:])": "also, in addition",
    r"(who|what|which)soever|whoever": "name the caller, thread, client or scraper",
    r"(some|no|every|any)body('s)?": "name the caller, thread, client or scraper; `no client`, `every client`",
    r"(told|tells?|telling) of": "reports, logs; is reported",
    r"(let|lets|letting) go of": "releases",
    r"sees? to it": "ensures",
    r"(?<!you\s)wish(es)?": "requests, requires; negotiation parameters",
    r"(?<!\w\s)(those|he|they|him|them) (who|whom|whose)": "name them: clients, callers, threads",
}
PATTERNS = [(re.compile(rf"(?i:\b(?:{phrase})\b)".replace(" ", r"\s+")), better) for phrase, better in WORST.items()]
# Of comments only: a relative clause instead of a noun.
OPENS_WITH_WHAT = "name the thing: `The bytes of…` instead of `What… is`"

COUNTED = {
    "What… as a noun": r"^What (?!if\b)[^?]*$",
    "told, tell, tells": r"\b(told|tells?)\b",
    "nobody, whoever…": r"\b((some|no|every|any)body|whoever)\b",
    "who + verb": r"(^|[.;:,(] |\b(and|or|but|for|to|by|of|from|with|than|as|that|if|all|those) )who \w+",
    "to be had": r"\b(to|cannot|can) be had\b",
    "is no": r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|less\b)\w+",
    "has no … that": r"\b(has|have|had) no \w+ (that|which)\b",
    "place": r"(?<!in )(?<!takes )(?<!take )(?<!took )\bplaces?\b(?! (an )?orders?\b)",
    "figure": r"\bfigures?\b",
    "answer": r"\banswers?\b",
    "thing": r"\b(thing|things)\b",
    "wish, rings, beat": r"\b(wish|wishes|rings|the beat)\b",
    "anew, besides…": r"\b(anew|besides|in vain|at leisure|dear|dearer|bears?|as it were)\b",
    "meanwhile": r"\bmeanwhile\b",
    "of its own": r"\bof (its|their|his) own\b",
}


class Prose(NamedTuple):
    """A piece of text: its first line, its kind and its words."""

    line: int
    kind: str
    text: str


C_LIKE = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<char>'(?:\\.|[^'\\\n])')"""
    r'''|(?P<string>\#*"""(?:.*?)"""\#*|"(?:\\.|[^"\\\n])*")|(?P<name>(?<=func\ )`[^`\n]+`)''',
    re.DOTALL | re.VERBOSE,
)


def merged(pieces: Iterator[Prose]) -> Iterator[Prose]:
    """Joins comments on consecutive lines."""
    last: Prose | None = None
    for piece in pieces:
        if last and piece.kind == last.kind == "comment" and piece.line == last.line + last.text.count("\n") + 1:
            last = Prose(last.line, "comment", f"{last.text}\n{piece.text}")
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def of_c_like(text: str) -> Iterator[Prose]:
    """Comments, strings and raw identifiers of Swift, C and protobuf."""
    for found in C_LIKE.finditer(text):
        line, own = text.count("\n", 0, found.start()) + 1, found[0]
        if found["comment"]:
            yield Prose(line, "comment", re.sub(r"(?m)^\s*(///?|/\*\*?|\*(?!/)) ?|\s*\*/$", "", own))
        elif found["string"] or found["name"]:
            yield Prose(line, "name" if found["name"] else "string", own.strip('#"`'))


def of_python(text: str) -> Iterator[Prose]:
    """Comments, docstrings, strings and test names of Python."""
    last = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line, own, name = token.start[0], token.string, tokenize.tok_name[token.type]
        if name == "COMMENT":
            yield Prose(line, "comment", own.lstrip("#! "))
        elif name in ("STRING", "FSTRING_MIDDLE"):
            is_doc = last in ("", "NEWLINE", "INDENT", "DEDENT")
            if is_doc or '"""' not in own:
                yield Prose(line, "docstring" if is_doc else "string", re.sub(r'^\w*("""|"|\')|("""|"|\')$', "", own))
        elif name == "NAME" and own.startswith("test_"):
            yield Prose(line, "name", own.replace("_", " "))
        last = last if name in ("COMMENT", "NL") else name


def of_shell(text: str) -> Iterator[Prose]:
    """Comments of shell, YAML and make, and the output of shell scripts."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.search(r"(?:^|\s)##? (?!shellcheck)(.*)", line):
            yield Prose(number, "comment", found[1])
        elif found := re.search(r"\b(?:echo|say|printf)\b.*?[\"'](.+)[\"']|^\s*(?:summary|description|title): '?(.*)", line):
            yield Prose(number, "string", found[1] or found[2])


def of_markdown(text: str) -> Iterator[Prose]:
    """Paragraphs, list items and table rows, without code blocks."""
    text = re.sub(r"(?ms)^ *```.*?^ *```|<[^>\n]+>", lambda found: re.sub(r"[^\n]", "", found[0]), text)
    line = 1
    for block in re.split(r"(\n\s*\n|\n(?=\s*(?:[-*|#>]|\d+\.) ?))", text):
        if block.strip():
            yield Prose(line, "doc", block.strip(" \n|#>-*"))
        line += block.count("\n")


def of_json(text: str) -> Iterator[Prose]:
    """Titles and descriptions of dashboards."""
    for found in re.finditer(r'"(?:title|description|text|summary)": "((?:\\.|[^"\\])*)"', text):
        yield Prose(text.count("\n", 0, found.start()) + 1, "string", found[1])


READERS = {
    **dict.fromkeys((".swift", ".c", ".h", ".cpp", ".proto"), of_c_like), ".py": of_python, ".md": of_markdown, ".json": of_json,
    **dict.fromkeys((".sh", ".yml", ".yaml", ""), of_shell),
}


def prose_of(path: str, text: str) -> Iterator[Prose]:
    """The prose of a file, without inline code; strings only if they have at least four words."""
    reader = READERS.get(Path(path).suffix)
    if reader is None or not Path(path).suffix and Path(path).name not in ("Makefile", "Dockerfile"):
        return
    for line, kind, own in merged(reader(text)):
        own = re.sub(r"`+[^`\n]*`+|https?://\S+|\]\([^)]*\)|.*SPDX-License-Identifier.*", "", own)
        if kind == "string":
            own = re.sub(r"\{[^{}]*\}|\\\([^()]*\)|\$\{?\w+\}?", "", own)
        if kind != "string" or len(re.findall(r"[A-Za-z']{2,}", own)) >= 4:
            yield Prose(line, kind, own)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each on one line."""
    return [" ".join(one.split()) for one in re.split(r"(?<=[.!?])\s+|\n\s*\n|\n\s*[-*] ", text)]


def files_of(folder: Path) -> Iterator[tuple[str, str]]:
    """The tracked text files of a checkout with their contents."""
    listed = subprocess.run(["git", "-C", folder, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    for path in filter(None, listed.split("\0")):
        if not path.startswith(SKIPPED) and Path(path).suffix in READERS and (folder / path).is_file():
            yield path, (folder / path).read_text(encoding="utf-8", errors="replace")


def findings(path: str, text: str) -> Iterator[str]:
    """Each phrase that is surely wrong, with its line and a better one."""
    lines = text.splitlines()
    for piece in prose_of(path, text):
        found = [(one.start(), one[0], better) for pattern, better in PATTERNS for one in pattern.finditer(piece.text)]
        if piece.kind in ("comment", "docstring"):
            starts = re.finditer(r"(?:\A\s*|(?<=[.!?]\s))What (?:[^.?!]|\.(?!\s|\Z))*\.(?=\s|\Z)", piece.text)
            found += [(one.end() - len(one[0].lstrip()), f"{one[0].strip()[:30]}…", OPENS_WITH_WHAT) for one in starts]
        for start, phrase, better in found:
            line = piece.line + piece.text.count("\n", 0, start)
            if not any(EXEMPT in own for own in lines[max(0, line - 2) : line]):
                yield f"{path}:{line}: {' '.join(phrase.split())!r}: {better}"


def count(folder: Path) -> None:
    """Prints how often each pattern of COUNTED occurs, by folder."""
    counts: Counter[tuple[str, str]] = Counter()
    for path, text in files_of(folder):
        top = "/".join(path.split("/")[: 2 if path.startswith(("Sources/", "Tests/")) else 1]) if "/" in path else "."
        for piece in prose_of(path, text):
            for sentence in sentences(piece.text):
                for name, pattern in COUNTED.items():
                    counts[top, name] += len(re.findall(pattern, sentence if name.startswith("What") else sentence.lower()))
    folders = sorted({top for top, _ in counts})
    print("\t".join(["folder", *COUNTED]))
    for top in folders:
        print("\t".join([top, *(str(counts[top, name]) for name in COUNTED)]))
    print("\t".join(["all", *(str(sum(counts[top, name] for top in folders)) for name in COUNTED)]))


def main(arguments: list[str]) -> int:
    is_count = "--count" in arguments
    folders = [argument for argument in arguments if argument != "--count"]
    if len(folders) > 1 or any(argument.startswith("-") for argument in folders):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(folders[0]) if folders else ROOT
    if is_count:
        count(folder)
        return 0
    found = [finding for path, text in files_of(folder) for finding in findings(path, text)]
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    if found:
        print(f"check_english: {len(found)} phrases", file=sys.stderr)
        return 1
    print("No phrase of scripts/check_english.py is in the comments, strings, docs and test names.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
