# SPDX-License-Identifier: Apache-2.0
"""Newer libraries than the system's, and programs that run with them.

The dynamic linker, glibc, libmicrohttpd and their dependencies, from Debian's newer releases, are
unpacked beside the system's. A copy of a program that names that linker runs with them: it keeps
its name, arguments and path, which it would not if the linker were started with the program as an
argument. Swift's libraries remain those of the toolchain.
"""

import functools
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import ROOT

SYSTEM = "system"
FETCHER = ROOT / "scripts/newer-libraries.sh"
"""Downloads newer libraries into FOLDER, and prints the Debian suites that they come from."""
SUITES = [SYSTEM, *subprocess.check_output([FETCHER, "--suites"], text=True, timeout=60).split()]
"""Sources of libraries: the system, and Debian's newer suites by name."""
FOLDER = Path(".build/debian")
"""The directory of the newer libraries, by suite. Relative to the root of the repository, since a
program has only 27 bytes for the path of its linker."""
INTERPRETER = 3
"""The type of the program header that names the dynamic linker (elf(5), PT_INTERP)."""


@dataclass(frozen=True)
class Libraries:
    """The libraries of a suite."""

    suite: str

    @property
    def is_system(self) -> bool:
        """Whether they are the system's own."""
        return self.suite == SYSTEM

    @property
    def folder(self) -> Path:
        """Their directory."""
        return ROOT / FOLDER / self.suite / "lib"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that a program needs to find them."""
        return {} if self.is_system else {"LD_LIBRARY_PATH": str(self.folder)}

    def program(self, path: str) -> str:
        """A program that runs with them, to be started in the root of the repository."""
        return path if self.is_system else copy_with_linker(path, self.suite)

    @property
    def link_flags(self) -> list[str]:
        """Link flags for a program that runs with them. They name the linker's real path, so that
        it is not loaded a second time as a dependency of libc."""
        return [] if self.is_system else [f"-Wl,--dynamic-linker={(self.folder.parent / 'ld.so').resolve()}"]

    def __str__(self) -> str:
        return f"libraries of {self.suite}"


@functools.cache
def copy_with_linker(path: str, suite: str) -> str:
    """A copy of a program that names the linker of a suite; one copy for each process of a test
    run."""
    assert Path.cwd() == ROOT, "the linker's path is relative to the root of the repository"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "single")
    copy = ROOT / FOLDER / "programs" / worker / suite / Path(path).name
    copy.parent.mkdir(parents=True, exist_ok=True)
    content = bytearray(Path(path).read_bytes())
    name_linker(content, f"{FOLDER}/{suite}/ld.so".encode())
    # Written under another name first: a copy from an earlier run may still be running.
    new = copy.with_suffix(".new")
    new.write_bytes(content)
    shutil.copymode(path, new)
    new.replace(copy)
    return str(copy)


def name_linker(program: bytearray, linker: bytes) -> None:
    """Replaces the linker of a 64-bit ELF program by one whose path is not longer (elf(5))."""
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", program, header) == (INTERPRETER,):
            (start,) = struct.unpack_from("<Q", program, header + 8)
            (room,) = struct.unpack_from("<Q", program, header + 32)
            assert len(linker) < room, f"{linker!r} does not fit into {room} bytes"
            program[start : start + room] = linker.ljust(room, b"\0")
            return
    raise AssertionError("the program has no dynamic linker")


def absence(suite: str) -> str | None:
    """The reason why a suite's libraries are missing; None if they are present."""
    if suite == SYSTEM or (ROOT / FOLDER / suite / "ld.so").exists():
        return None
    return (
        f"NOT TESTED WITH GLIBC AND LIBMICROHTTPD OF DEBIAN {suite.upper()}, which are not in "
        f"{FOLDER}: scripts/newer-libraries.sh fetches them, or says why it cannot"
    )


def libraries_of(suite: str) -> Libraries:
    """The libraries of a suite; skips the test, with a visible reason, if they are missing."""
    if reason := absence(suite):
        pytest.skip(reason)
    return Libraries(suite)
