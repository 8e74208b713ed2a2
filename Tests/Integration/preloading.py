# SPDX-License-Identifier: Apache-2.0
"""The object to preload, and what tests do with it and the profiles that it writes."""

import fcntl
import functools
import glob
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, system_binary

SUITE = ROOT / "Tests/Preload"
HOOKS = [ROOT / "Sources" / part for part in ("COutriderHeap", "COutriderStack", "COutriderSymbols")]
"""The C sources of the hooks, for programs that are linked with them."""
# As the kernel calls it, which knows no links: profiles have the paths of programs.
PLACE = (ROOT / ".build/preload-tests").resolve()

# Nothing here takes as long as this, not even on a machine that is busy with other things; it ends what hangs.
LIMIT = 900


@functools.cache
def preload_object() -> str:
    """The path of the object, which is built first, once for all processes of a test run.

    It is never built again while programs run with it: they would see a file that was deleted.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process {os.getpid()}")
    with (PLACE / "object").open("a+") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        for_run, _, path = note.read().partition("\n")
        if for_run != run:
            made = subprocess.run(
                [ROOT / "scripts/preload.sh"], capture_output=True, text=True, timeout=LIMIT, check=True
            )
            path = made.stdout.splitlines()[-1]
            note.truncate(0)
            note.write(f"{run}\n{path}")
    return path


def library(name: str) -> str:
    """The path of an allocator's library, whatever the version of its interface is."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"\b{re.escape(name)}\.\d+ .*=> (\S+)", listed.stdout)
    if not found:
        pytest.fail(f"{name} is not installed; `make setup` installs it", pytrace=False)
    return found[1]


# The allocators that may stand behind the hooks, as they are preloaded.
BEHIND = {"glibc": "", "jemalloc": "libjemalloc.so", "mimalloc": "libmimalloc.so"}


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
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    return run.returncode, run.stdout, run.stderr


def profiles(folder: Path) -> list[str]:
    """The profiles in a folder; nothing half written."""
    assert not glob.glob(f"{folder}/*.part")
    return sorted(glob.glob(f"{folder}/*.pb.gz"))


def pprof(*arguments: str) -> str:
    """What `go tool pprof` prints."""
    run = subprocess.run(
        [system_binary("go"), "tool", "pprof", *arguments],
        capture_output=True, text=True, timeout=LIMIT, env=clean_environment(PPROF_TMPDIR="/nonexistent"),
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@dataclass(frozen=True)
class Ending:
    """How a program ended, and everything that it said."""

    status: int
    output: bytes
    errors: bytes


def preloaded(
    profile: str | None = None, interval: int | str | None = None, behind: str = "glibc"
) -> dict[str, str]:
    """An environment with the hooks, told no more than what is given."""
    objects = [preload_object()] + ([library(BEHIND[behind])] if BEHIND[behind] else [])
    told = {"LD_PRELOAD": " ".join(objects)}
    if profile is not None:
        told["OUTRIDER_HEAP_PROFILE"] = profile
    if interval is not None:
        told["OUTRIDER_HEAP_INTERVAL"] = str(interval)
    return clean_environment(**told)


def run(
    command: list[str], environment: dict[str, str], folder: Path | None = None
) -> Ending:
    """Runs a program to its end."""
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=folder,
        timeout=LIMIT,
    )  # fmt: skip
    return Ending(ended.returncode, ended.stdout, ended.stderr)


def fresh_folder(path: Path) -> Path:
    """An empty folder in this place."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def profile_of(folder: Path, program: str) -> Path:
    """The largest profile that a program of this name wrote; the name is a pattern."""
    found = sorted(folder.glob("*.pb.gz"), key=lambda path: path.stat().st_size, reverse=True)
    for path in found[:40]:
        if re.search(rf"(?m)^File: {program}$", pprof("-top", "-nodecount=1", str(path))):
            return path
    raise AssertionError(f"no profile of {program} among {len(found)}")


def sums(profile: Path, kind: str) -> dict[str, int]:
    """Bytes or objects by the function that allocated them."""
    unit = "-unit=bytes" if kind.endswith("space") else "-unit=count"
    everything = ["-nodecount=100000", "-nodefraction=0", f"-sample_index={kind}", unit]
    shown = pprof("-top", *everything, str(profile))
    rows = re.findall(r"(?m)^ *(-?[\d.]+)B? +[\d.]+% +[\d.]+% +\S+ +[\d.]+% +(.+)$", shown)
    return {name: int(float(flat)) for flat, name in rows}


def comments(profile: Path) -> dict[str, str]:
    """What the profile says of how it was made: the allocator, and how many samples and stacks of which kind."""
    pairs = re.findall(r"([a-z ]+): ([^,\n]+)", pprof("-comments", str(profile)))
    return {name.strip(): value for name, value in pairs}


def decoded(profile: Path) -> str:
    """The profile as protoc reads it."""
    content = subprocess.run(["gzip", "-dc", str(profile)], capture_output=True, check=True).stdout
    command = [system_binary("protoc"), f"--proto_path={SUITE}", "--decode=Profile", "profile.proto"]
    read = subprocess.run(command, input=content, capture_output=True, timeout=LIMIT)
    # It warns of text that is not UTF-8.
    assert (read.returncode, read.stderr) == (0, b"")
    return read.stdout.decode("utf-8")


@functools.cache
def compiled(source: str, *flags: str, name: str = "") -> str:
    """A program of Tests/Preload, compiled with frame pointers and calls that are not left out."""
    # A folder for each process of a test run: none replaces a program that another one runs.
    place = PLACE / os.environ.get("PYTEST_XDIST_WORKER", "single")
    place.mkdir(parents=True, exist_ok=True)
    file = SUITE / source
    # The same source with other flags is another program.
    told = f"-{hashlib.sha256(' '.join(flags).encode()).hexdigest()[:8]}" if flags else ""
    program = place / (name or f"{file.stem}{told}")
    compiler = ["gcc", "-std=c11"] if file.suffix == ".c" else ["g++", "-std=c++17"]
    command = [
        system_binary(compiler[0]), *compiler[1:], "-Wall", "-Wextra", "-Werror", "-O1",
        "-fno-omit-frame-pointer", "-fno-builtin", "-rdynamic", "-pthread", *flags, str(file), "-o",
        str(program),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert made.returncode == 0, made.stderr
    return str(program)


TORTURE = {
    "calls.c": "every call kept its promise\n",
    "threads.c": "every thread came to its end\n",
    "forks.c": "100 of 100 children ended well\n",
    "stacks.c": "every stack held\n",
    "libraries.c": "every library came and went\n",
    "operators.cpp": "every operator did its work\n",
}
"""Programs of Tests/Preload that are hard on an allocator, and what each says at its end."""


def torture(source: str) -> list[str]:
    """One of these programs, and what it wants to be told."""
    program = [compiled(source)]
    if source == "libraries.c":
        program.append(compiled("plugin.c", "-shared", "-fPIC"))
    return program
