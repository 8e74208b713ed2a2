# SPDX-License-Identifier: Apache-2.0
"""The object to preload, and what tests do with it and the profiles that it writes."""

import functools
import glob
import re
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, system_binary

SUITE = ROOT / "Tests/Preload"


@functools.cache
def preload_object() -> str:
    """The path of the object, which is built first."""
    made = subprocess.run(
        [ROOT / "scripts/preload.sh"], capture_output=True, text=True, timeout=120, check=True
    )
    return made.stdout.splitlines()[-1]


def library(name: str) -> str:
    """The path of an allocator's library."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", listed.stdout)
    if not found:
        pytest.fail(f"{name} is not installed; `make setup` installs it", pytrace=False)
    return found[1]


# The allocators that may stand behind the hooks, as they are preloaded.
BEHIND = {"glibc": "", "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2"}


def hooked(folder: Path, interval: int = 65536, behind: str = "glibc") -> dict[str, str]:
    """An environment with the hooks, whose profiles go to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = [preload_object()] + ([library(BEHIND[behind])] if BEHIND[behind] else [])
    return clean_environment(
        LD_PRELOAD=":".join(objects),
        OUTRIDER_HEAP_PROFILE=f"{folder}/%p.pb.gz",
        OUTRIDER_HEAP_INTERVAL=str(interval),
    )


def unhooked(behind: str = "glibc") -> dict[str, str]:
    """An environment with the same allocator and no hooks."""
    return clean_environment(**({"LD_PRELOAD": library(BEHIND[behind])} if BEHIND[behind] else {}))


def outcome(command: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    """How a program ended, and what it printed."""
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout, run.stderr


def profiles(folder: Path) -> list[str]:
    """The profiles in a folder; nothing half written."""
    assert not glob.glob(f"{folder}/*.part")
    return sorted(glob.glob(f"{folder}/*.pb.gz"))


def pprof(*arguments: str) -> str:
    """What `go tool pprof` prints."""
    run = subprocess.run(
        [system_binary("go"), "tool", "pprof", *arguments],
        capture_output=True, text=True, timeout=120, env=clean_environment(PPROF_TMPDIR="/nonexistent"),
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@functools.cache
def compiled(source: str, place: str) -> str:
    """A program of Tests/Preload, compiled."""
    program = f"{place}/{Path(source).stem}"
    compiler = "g++" if source.endswith(".cpp") else "gcc"
    # Sizes that no object has are asked for on purpose.
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-alloc-size-larger-than", "-Wno-use-after-free"]
    flags = ["-O1", "-fno-omit-frame-pointer", "-fno-builtin", "-pthread"]
    command = [system_binary(compiler), *warnings, *flags, str(SUITE / source), "-o", program]
    subprocess.run(command, check=True, timeout=60)
    return program
