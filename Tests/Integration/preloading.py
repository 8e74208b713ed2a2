# SPDX-License-Identifier: Apache-2.0
"""Programs with the heap sampler preloaded, with and without another allocator behind it."""

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, system_binary

SOURCES = ROOT / "Tests/Preload"
PLACE = ROOT / ".build/preload-tests"

# Everything that a program is run with behind the hooks.
BEHIND = {"libc": "", "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2"}


@functools.cache
def hooks() -> str:
    """The object to preload, built anew."""
    made = subprocess.run(
        [ROOT / "scripts/preload.sh"], capture_output=True, text=True, timeout=300
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout.splitlines()[-1]


@functools.cache
def library(name: str) -> str:
    """The path of a shared library of the system's."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", listed.stdout)
    if not found:
        pytest.fail(f"{name} is not installed; `make setup` installs it", pytrace=False)
    return found[1]


def compile_program(source: str, *flags: str) -> str:
    """A program of Tests/Preload, compiled with frame pointers and calls that are not left out."""
    return _compile(source, flags)


@functools.cache
def _compile(source: str, flags: tuple[str, ...]) -> str:
    PLACE.mkdir(parents=True, exist_ok=True)
    file = SOURCES / source
    program = PLACE / file.stem
    compiler = ["gcc", "-std=c11"] if file.suffix == ".c" else ["g++", "-std=c++17"]
    command = [
        *compiler, "-Wall", "-Wextra", "-Werror", "-O1", "-fno-omit-frame-pointer", "-fno-builtin",
        "-rdynamic", "-pthread", *flags, str(file), "-o", str(program),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return str(program)


@dataclass(frozen=True)
class Ending:
    """How a program ended, and everything that it said."""

    status: int
    output: bytes
    errors: bytes


def preloaded(
    profile: str | None = None, interval: int | str | None = None, behind: str = "libc",
    hooked: bool = True, **more: str,
) -> dict[str, str]:
    """The environment of a program with the hooks and the allocator behind them."""
    objects = [hooks()] if hooked else []
    if BEHIND[behind]:
        objects.append(library(BEHIND[behind]))
    own = {"LD_PRELOAD": " ".join(objects)} if objects else {}
    if profile is not None:
        own["OUTRIDER_HEAP_PROFILE"] = profile
    if interval is not None:
        own["OUTRIDER_HEAP_INTERVAL"] = str(interval)
    return clean_environment(**own, **more)


def run(
    command: list[str], environment: dict[str, str], folder: Path | None = None, seconds: float = 120
) -> Ending:
    """Runs a program to its end."""
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=folder,
        timeout=seconds,
    )
    return Ending(ended.returncode, ended.stdout, ended.stderr)


def fresh_folder(path: Path) -> Path:
    """An empty folder in this place."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def pprof(profile: Path, *arguments: str) -> str:
    """What `go tool pprof` says of a profile; it has to be able to read it."""
    command = [system_binary("go"), "tool", "pprof", *arguments, str(profile)]
    environment = clean_environment(HOME=str(PLACE), GOCACHE=str(PLACE / "go"))
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def profile_of(folder: Path, program: str) -> Path:
    """The largest profile that a program of this name wrote; the name is a pattern."""
    found = sorted(folder.glob("*.pb.gz"), key=lambda path: path.stat().st_size, reverse=True)
    for path in found[:40]:
        if re.search(rf"(?m)^File: {program}$", pprof(path, "-top", "-nodecount=1")):
            return path
    raise AssertionError(f"no profile of {program} among {len(found)}")


def sums(profile: Path, kind: str) -> dict[str, int]:
    """Bytes or objects by the function that allocated them."""
    unit = "-unit=bytes" if kind.endswith("space") else "-unit=count"
    shown = pprof(profile, "-top", "-nodecount=100000", "-nodefraction=0", f"-sample_index={kind}", unit)
    rows = re.findall(r"(?m)^ *(-?[\d.]+)B? +[\d.]+% +[\d.]+% +\S+ +[\d.]+% +(.+)$", shown)
    return {name: int(float(flat)) for flat, name in rows}


def decoded(profile: Path) -> str:
    """The profile as protoc reads it."""
    content = subprocess.run(["gzip", "-dc", str(profile)], capture_output=True, check=True).stdout
    command = [
        system_binary("protoc"), f"--proto_path={SOURCES}", "--decode=outrider.tests.Profile",
        "profile.proto",
    ]  # fmt: skip
    read = subprocess.run(command, input=content, capture_output=True, timeout=120)
    assert read.returncode == 0, read.stderr
    # It warns of text that is not UTF-8.
    assert read.stderr == b"", read.stderr
    return read.stdout.decode("utf-8")


def is_installed(program: str) -> bool:
    """Whether a program is on PATH."""
    return shutil.which(program, path=os.environ.get("PATH")) is not None
