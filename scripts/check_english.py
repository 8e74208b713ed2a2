#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks comments, strings, docs and test names for phrases that are not plain English.

    scripts/check_english.py [FOLDER]            fails if it finds a phrase of WRONG
    scripts/check_english.py --count [FOLDER]    counts suspicious patterns, some uses of which are right

FOLDER is a checkout, by default this one. A line with `check-english: ok`, and the next one, are
exempt. Code, inline code, and strings with fewer than four words are not read.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {".git", ".build", ".swiftpm", "__pycache__", "api", "seeds", "check_english.py"}

# Phrases that are wrong in any sentence, with better ones.
WRONG = {
    r"(to|cannot|can) be had": "available, unavailable",
    r"at leisure": "later; or drop it",
    r"in vain": "unsuccessfully",
    r"anew": "again",
    r"nought": "zero",
    r"dearer": "more expensive",
    r"for want of": "for lack of",
    r"as it were": "drop it",
    r"besides(?=[.;:])": "also, in addition",
    # Not the Unix user.
    r"(?<!user )nobody(?![:/]| user)": "no client, no thread, no caller",
    r"(some|every|any)body('s)?": "name the caller, thread, client or scraper",
    r"(told|tells?|telling) of": "reports, logs; is reported",
    r"(let|lets|letting) go of": "releases",
    r"sees? to it": "ensures",
    r"(a|the|its|their|'s) wish(es)?": "request; negotiation parameters",
    r"(he|him|they|them) (who|whom|whose)": "name them: clients, callers, threads",
}
# The same, for the first sentence of a comment.
WRONG_AT_START = {r"\A\s*Wh(at|o) (?!if\b|to\b)[^.?!]*\.": "name it: `The bytes of…` instead of `What…`"}

COUNTED = {
    "What… as a noun": r"^(?-i:What) (?!if\b|to do\b)[^?]*$",
    "told, tell, tells": r"\b(told|tells?)\b",
    "nobody, whoever…": r"\b((some|no|every|any)body|whoever)\b",
    "who + verb": r"(^|[.;:,(] |\b(and|or|but|for|to|by|of|from|with|than|as|that|if|all|those) )who \w+",
    "to be had": r"\b(to|cannot|can) be had\b",
    "is no": r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|less\b)\w+",
    "has no … that": r"\b(has|have|had) no \w+ (that|which)\b",
    "place": r"(?<!in )(?<!takes )(?<!take )(?<!took )\bplaces?\b(?! (an )?orders?\b)",
    "figure": r"\bfigures?\b",
    "answer": r"\banswers?\b",
    "thing": r"\bthings?\b",
    "wish, rings, beat": r"\b(wish|wishes|rings|the beat)\b",
    "anew, besides…": r"\b(anew|besides|in vain|at leisure|dear|dearer|bears?|as it were)\b",
    "meanwhile": r"\bmeanwhile\b",
    "of its own": r"\bof (its|their|his) own\b",
}

# Swift, C and protobuf; then languages with `#` comments. A string of several lines there is data
# unless it is a docstring.
STRING = r'"(?:\\.|[^"\\\n])*"'
SLASHES = re.compile(
    r"(?P<comment>(?:^[ \t]*//.*\n)+|//.*|/\*(?s:.*?)\*/)|'(?:\\.|[^'\\\n])'"
    rf'|(?P<string>"""(?s:.*?)"""|{STRING})|func (?P<name>`[^`\n]+`)',
    re.MULTILINE,
)
HASHES = re.compile(
    r'(?P<comment>(?:^[ \t]*#.*\n)+|(?<!\S)#.*|^[ \t]*"""(?s:.*?)""")|"""(?s:.*?)"""'
    rf"|(?P<string>{STRING}|'[^'\n]*')|def (?P<name>test_\w+)",
    re.MULTILINE,
)
LANGUAGES = {
    **dict.fromkeys((".swift", ".c", ".h", ".cpp", ".proto"), SLASHES),
    **dict.fromkeys((".py", ".sh", ".yml", ".yaml", "Makefile", "Dockerfile"), HASHES),
    ".md": re.compile(r"(?P<page>(?s:.+))"),
}
MARKERS = re.compile(r'^[ \t]*(?:#!.*|///?|/\*\*?|\*(?!/)|#+|""")[ \t]?|\*/|"""', re.MULTILINE)
INLINE_CODE = re.compile(r"```(?s:.*?)```|`[^`\n]*`|https?://\S+|\]\([^)]*\)|SPDX-.*|<[^>\n]+>")
INTERPOLATION = re.compile(r"\{[^{}]*\}|\\\([^()]*\)|\$\{?\w+\}?")


def prose_of(file: Path) -> Iterator[tuple[int, str, str]]:
    """The comments, strings, test names or page of a file: the first line, the kind and the text of each."""
    text = file.read_text(encoding="utf-8", errors="replace")
    for found in LANGUAGES[file.suffix or file.name].finditer(text):
        kind, own = found.lastgroup, found[found.lastgroup or 0]
        line = text.count("\n", 0, found.start()) + 1
        if kind == "name":
            yield line, kind, own.strip("`").replace("_", " ")
        elif kind == "string":
            own = INTERPOLATION.sub("", own.strip("\"'"))
            if len(re.findall(r"[A-Za-z']{2,}", own)) >= 4:
                yield line, kind, own
        elif kind:
            own = MARKERS.sub("", own) if kind == "comment" else own
            yield line, kind, INLINE_CODE.sub(lambda code: "\n" * code[0].count("\n"), own)


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a checkout, those that are not committed included."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED)
        for name in sorted(set(names) - SKIPPED):
            if (Path(name).suffix or name) in LANGUAGES:
                yield Path(parent, name)


def findings(folder: Path) -> Iterator[str]:
    """Each wrong phrase, with its line and a better one."""
    anywhere = [(re.compile(rf"\b(?i:{phrase})\b".replace(" ", r"\s")), better) for phrase, better in WRONG.items()]
    at_start = [(re.compile(phrase), better) for phrase, better in WRONG_AT_START.items()]
    for file in files_of(folder):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        for first, kind, text in prose_of(file):
            for pattern, better in anywhere + (at_start if kind == "comment" else []):
                for found in pattern.finditer(text):
                    start = found.end() - len(found[0].lstrip())
                    line = first + text.count("\n", 0, start)
                    if not any("check-english: ok" in own for own in lines[max(0, line - 2) : line]):
                        yield f"{file.relative_to(folder)}:{line}: {' '.join(found[0].split())[:40]!r}: {better}"


def counts(folder: Path) -> Iterator[str]:
    """The number of matches of each pattern of COUNTED."""
    ends = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n\s*(?:[-*|#>]+ |\d+\. )")
    pieces = (piece for file in files_of(folder) for *_, text in prose_of(file) for piece in ends.split(text))
    sentences = [" ".join(piece.split()) for piece in pieces]
    for name, pattern in COUNTED.items():
        yield f"{sum(len(re.findall(pattern, one, re.IGNORECASE)) for one in sentences):6} {name}"


def main(arguments: list[str]) -> int:
    is_count = arguments[:1] == ["--count"]
    folder = Path(arguments[-1]) if len(arguments) > is_count else Path(__file__).resolve().parent.parent
    if not folder.is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    found = list(counts(folder) if is_count else findings(folder))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found and not is_count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
