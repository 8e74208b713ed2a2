# SPDX-License-Identifier: Apache-2.0
"""Newer libraries than the system's, and programs that run with them.

A dynamic linker, glibc, libmicrohttpd and what these need, of Debian's newer releases, lie unpacked beside the system's. A
copy of a program that names that linker instead of its own runs with them: it has its own name, arguments and path, which
it would not have if the linker were called with the program as an argument. Swift's libraries stay those of the toolchain.
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
"""Puts newer libraries into PLACE, and prints which suites of Debian they come from."""
SUITES = [SYSTEM, *subprocess.check_output([FETCHER, "--suites"], text=True, timeout=60).split()]
"""Where libraries come from: the system, and Debian's newer suites by their names."""
PLACE = Path(".build/debian")
"""The directory of the newer libraries, by suite. From the root of the repository: a program has room for 27 bytes."""
INTERPRETER = 3
"""The type of the header that names a program's linker (elf(5), PT_INTERP)."""


@dataclass(frozen=True)
class Libraries:
    """The libraries of a suite."""

    suite: str

    @property
    def is_system(self) -> bool:
        """Whether they are those that every program has."""
        return self.suite == SYSTEM

    @property
    def folder(self) -> Path:
        """Where they are."""
        return ROOT / PLACE / self.suite / "lib"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to find them."""
        return {} if self.is_system else {"LD_LIBRARY_PATH": str(self.folder)}

    def program(self, path: str) -> str:
        """A program that runs with them, to be started in the root of the repository."""
        return path if self.is_system else copy_with_linker(path, self.suite)

    @property
    def link_flags(self) -> list[str]:
        """How to link a program that runs with them; by the linker's real name, so that it is not loaded once more for libc."""
        return [] if self.is_system else [f"-Wl,--dynamic-linker={(self.folder.parent / 'ld.so').resolve()}"]

    def __str__(self) -> str:
        return f"libraries of {self.suite}"


@functools.cache
def copy_with_linker(path: str, suite: str) -> str:
    """A copy of a program that names the linker of a suite; one for each process of a test run."""
    assert Path.cwd() == ROOT, "the linker's name begins in the root of the repository"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "single")
    copy = ROOT / PLACE / "programs" / worker / suite / Path(path).name
    copy.parent.mkdir(parents=True, exist_ok=True)
    content = bytearray(Path(path).read_bytes())
    name_linker(content, f"{PLACE}/{suite}/ld.so".encode())
    # Under another name first: a program that is left from another run may be running.
    new = copy.with_suffix(".new")
    new.write_bytes(content)
    shutil.copymode(path, new)
    new.replace(copy)
    return str(copy)


def name_linker(program: bytearray, linker: bytes) -> None:
    """Has an ELF program of 64 bits name another linker, which must not need more room than its own (elf(5))."""
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", program, header) == (INTERPRETER,):
            (start,) = struct.unpack_from("<Q", program, header + 8)
            (room,) = struct.unpack_from("<Q", program, header + 32)
            assert len(linker) < room, f"{linker!r} has no room in {room} bytes"
            program[start : start + room] = linker.ljust(room, b"\0")
            return
    raise AssertionError("it is not a dynamic program")


def absence(suite: str) -> str | None:
    """Why there are no libraries of a suite; None if there are."""
    if suite == SYSTEM or (ROOT / PLACE / suite / "ld.so").exists():
        return None
    return (
        f"NOT TESTED WITH GLIBC AND LIBMICROHTTPD OF DEBIAN {suite.upper()}, which are not in "
        f"{PLACE}: scripts/newer-libraries.sh fetches them, or says why it cannot"
    )


def libraries_of(suite: str) -> Libraries:
    """The libraries of a suite; skips the test, loudly, if there are none."""
    if reason := absence(suite):
        pytest.skip(reason)
    return Libraries(suite)
