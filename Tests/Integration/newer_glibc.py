# SPDX-License-Identifier: Apache-2.0
"""The C libraries that there are to test with: the system's, and newer ones beside it."""

import subprocess
from pathlib import Path

import pytest

from harness import ROOT

SYSTEM = "system"
FETCHER = ROOT / "scripts" / "newer-glibc.sh"
"""Puts newer libraries into NEWER, and prints which suites of Debian they come from."""

SUITES = [SYSTEM, *subprocess.check_output([FETCHER, "--suites"], text=True, timeout=60).split()]
"""Where C libraries come from: this system, and Debian's newer suites by their names."""

NEWER = ROOT / ".build" / "newer-glibc"
"""The directory of the newer libraries, by suite."""


def linking(suite: str) -> list[str]:
    """How a program is linked that runs with the C library of a suite; skips the test, loudly, if there is none."""
    if suite == SYSTEM:
        return []
    found = sorted((NEWER / suite).resolve().glob("usr/lib/*-linux-gnu*/ld-linux-*.so.[0-9]"))
    if not found:
        pytest.skip(
            f"NOT TESTED WITH THE GLIBC OF DEBIAN {suite.upper()}, which is not in {NEWER.relative_to(ROOT)}: "
            "scripts/newer-glibc.sh fetches it, or says why it cannot"
        )
    linker: Path = found[0]
    # The old kind of path, which holds for the libraries of libraries too.
    return [f"-Wl,--dynamic-linker={linker}", "-Wl,--disable-new-dtags", f"-Wl,-rpath,{linker.parent}"]
