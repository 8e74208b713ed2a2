# SPDX-License-Identifier: Apache-2.0
"""The preloaded object, and helpers that run programs with it and read their profiles."""

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

from harness import Lines, ROOT, clean_environment, system_binary

SUITE = ROOT / "Tests/Preload"
HOOKS = [ROOT / "Sources" / part for part in ("COutriderHeap", "COutriderStack", "COutriderSymbols")]
"""The C sources of the hooks, for programs that link them."""
# Without symbolic links: profiles contain the paths of programs as the kernel reports them.
BUILD = (ROOT / ".build/preload-tests").resolve()

# A timeout that only a hung program reaches, even on a busy machine.
LIMIT = 900


@functools.cache
def preload_object() -> str:
    """The path of the object, built once for all processes of a test run.

    It is not rebuilt while programs run with it: they would map a deleted file.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process {os.getpid()}")
    with (BUILD / "object").open("a+") as note:
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
    """The path of an allocator's library, in any version of its ABI."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"\b{re.escape(name)}\.\d+ .*=> (\S+)", listed.stdout)
    if not found:
        pytest.fail(f"{name} is not installed; `make setup` installs it", pytrace=False)
    return found[1]


# The allocators tested behind the hooks, by the library that is preloaded.
BEHIND = {"glibc": "", "jemalloc": "libjemalloc.so", "mimalloc": "libmimalloc.so"}


def hooked(folder: Path, interval: int = 65536, behind: str = "glibc") -> dict[str, str]:
    """An environment with the hooks, whose profiles are written to a folder."""
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
    """Runs a program; returns its exit status and output."""
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    return run.returncode, run.stdout, run.stderr


def profiles(folder: Path) -> list[str]:
    """The profiles in a folder; fails on partial files."""
    assert not glob.glob(f"{folder}/*.part")
    return sorted(glob.glob(f"{folder}/*.pb.gz"))


def pprof(*arguments: str) -> str:
    """The output of `go tool pprof`."""
    run = subprocess.run(
        [system_binary("go"), "tool", "pprof", *arguments],
        capture_output=True, text=True, timeout=LIMIT, env=clean_environment(PPROF_TMPDIR="/nonexistent"),
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@dataclass(frozen=True)
class Ending:
    """Exit status and output of a program."""

    status: int
    output: bytes
    errors: bytes


def preloaded(
    profile: str | None = None, interval: int | str | None = None, behind: str = "glibc"
) -> dict[str, str]:
    """An environment with the hooks and only the given settings."""
    objects = [preload_object()] + ([library(BEHIND[behind])] if BEHIND[behind] else [])
    variables = {"LD_PRELOAD": " ".join(objects)}
    if profile is not None:
        variables["OUTRIDER_HEAP_PROFILE"] = profile
    if interval is not None:
        variables["OUTRIDER_HEAP_INTERVAL"] = str(interval)
    return clean_environment(**variables)


def run(
    command: list[str], environment: dict[str, str], folder: Path | None = None
) -> Ending:
    """Runs a program to its end."""
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=folder,
        timeout=LIMIT,
    )  # fmt: skip
    return Ending(ended.returncode, ended.stdout, ended.stderr)


def life(name: str) -> list[str]:
    """The command line of life.c for one of its scenarios."""
    return [compiled("life.c"), name]


def start(command: list[str], profile: str | Path, behind: str = "glibc") -> tuple[subprocess.Popen[bytes], Lines]:
    """Starts a program with every allocation sampled; returns the lines of its output too."""
    popen = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=preloaded(str(profile), 1, behind),
    )  # fmt: skip
    return popen, Lines(popen.stdout)


def start_until_ready(
    command: list[str], profile: str | Path, behind: str = "glibc"
) -> tuple[subprocess.Popen[bytes], Lines]:
    """The same, and waits until the program is ready to read a line."""
    popen, lines = start(command, profile, behind)
    assert lines.read(LIMIT) == b"ready\n"
    return popen, lines


def fresh_folder(path: Path) -> Path:
    """Creates an empty folder at this path, replacing an existing one."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def profile_of(folder: Path, program: str) -> Path:
    """The largest profile written by a program whose name matches a pattern."""
    found = sorted(folder.glob("*.pb.gz"), key=lambda path: path.stat().st_size, reverse=True)
    for path in found[:40]:
        if re.search(rf"(?m)^File: {program}$", pprof("-top", "-nodecount=1", str(path))):
            return path
    raise AssertionError(f"no profile of {program} among {len(found)}")


def sums(profile: Path, kind: str) -> dict[str, int]:
    """Bytes or objects by allocating function."""
    unit = "-unit=bytes" if kind.endswith("space") else "-unit=count"
    everything = ["-nodecount=100000", "-nodefraction=0", f"-sample_index={kind}", unit]
    shown = pprof("-top", *everything, str(profile))
    rows = re.findall(r"(?m)^ *(-?[\d.]+)B? +[\d.]+% +[\d.]+% +\S+ +[\d.]+% +(.+)$", shown)
    return {name: int(float(flat)) for flat, name in rows}


def comments(profile: Path) -> dict[str, str]:
    """The profile's comments: the allocator, and the number of samples and of stacks by kind."""
    pairs = re.findall(r"([a-z ]+): ([^,\n]+)", pprof("-comments", str(profile)))
    return {name.strip(): value for name, value in pairs}


def decoded(profile: Path) -> str:
    """The profile as decoded by protoc."""
    content = subprocess.run(["gzip", "-dc", str(profile)], capture_output=True, check=True).stdout
    command = [system_binary("protoc"), f"--proto_path={SUITE}", "--decode=Profile", "profile.proto"]
    read = subprocess.run(command, input=content, capture_output=True, timeout=LIMIT)
    # protoc warns about text that is not UTF-8.
    assert (read.returncode, read.stderr) == (0, b"")
    return read.stdout.decode("utf-8")


@functools.cache
def compiled(source: str, *flags: str, name: str = "") -> str:
    """Compiles a program of Tests/Preload, with frame pointers and without optimising calls
    away."""
    # A folder for each process of a test run, so that no process replaces a program that another
    # one runs.
    subfolder = BUILD / os.environ.get("PYTEST_XDIST_WORKER", "single")
    subfolder.mkdir(parents=True, exist_ok=True)
    file = SUITE / source
    # The same source with other flags is a different program.
    suffix = f"-{hashlib.sha256(' '.join(flags).encode()).hexdigest()[:8]}" if flags else ""
    program = subfolder / (name or f"{file.stem}{suffix}")
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
"""Programs of Tests/Preload that stress an allocator, and the line that each prints at its end."""


def torture(source: str) -> list[str]:
    """The command line of one of these programs."""
    program = [compiled(source)]
    if source == "libraries.c":
        program.append(compiled("plugin.c", "-shared", "-fPIC"))
    return program
