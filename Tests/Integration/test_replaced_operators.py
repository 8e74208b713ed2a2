# SPDX-License-Identifier: Apache-2.0
"""Programs that replace some of C++'s operators call the same ones, with the same result, with and
without the hooks."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import clean_environment, system_binary
from preload_tools import HOOKS, LIMIT, SUITE, library, preloaded

pytestmark = pytest.mark.compute

FORMS = 20
# new and delete; the same with arrays, with sized delete, and with alignment.
FAMILIES = [(), (0,), (8,), (0, 8), (0, 1, 8, 9), (0, 8, 10), (0, 4, 8, 14), (4, 14), tuple(range(FORMS))]
COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]


@dataclass(frozen=True)
class Parts:
    """A compiler and its objects: the program, one for each operator, and the hooks."""

    compiler: str
    program: Path
    forms: list[Path]
    hooks: list[Path]
    folder: Path

    def link(self, forms: tuple[int, ...], flags: list[str], hooks: bool) -> Path:
        """Links the program with these operators replaced, with or without the hooks."""
        program = self.folder / f"program-{'hooked' if hooks else 'bare'}"
        objects = [self.program, *(self.forms[form] for form in forms), *(self.hooks if hooks else [])]
        compile_by(self.compiler, *flags, "-pthread", *map(str, objects), "-o", str(program))
        return program


def compile_by(compiler: str, *arguments: str) -> None:
    """Runs a compiler; fails on any diagnostic."""
    done = subprocess.run([compiler, *arguments], capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module", params=COMPILERS)
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Compiles everything once for each compiler."""
    folder = tmp_path_factory.mktemp("replaced")
    flags = ["-std=c++17", "-O1", "-fPIE", "-fno-builtin", "-Wall", "-Wextra", "-Wno-sized-deallocation", "-c"]
    if request.param == "clang++":
        flags.remove("-Wno-sized-deallocation")
    source = str(SUITE / "replaced.cpp")
    compile_by(request.param, *flags, source, "-o", str(folder / "program.o"))
    forms = [folder / f"form-{form}.o" for form in range(FORMS)]
    for form, made in enumerate(forms):
        compile_by(request.param, *flags, f"-DFORM={form}", source, "-o", str(made))
    hooks = []
    for file in sorted(file for part in HOOKS for file in part.glob("*.c")):
        hooks.append(folder / f"{file.stem}.o")
        compile_by(
            system_binary("gcc"), "-std=gnu11", "-O2", "-fPIC", "-fno-omit-frame-pointer", "-pthread",
            *(f"-I{part}/include" for part in HOOKS), "-c", str(file), "-o", str(hooks[-1]),
        )
    yield Parts(request.param, folder / "program.o", forms, hooks, folder)


def outcome(program: Path, environment: dict[str, str]) -> tuple[int, str]:
    """The exit status of a program, and the calls that it printed."""
    run = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=LIMIT)
    return run.returncode, run.stdout


@pytest.mark.parametrize("flags", [[], ["-static-libstdc++", "-static-libgcc"]], ids=["shared library", "static library"])
def test_any_subset_of_replaced_operators_is_called_as_without_hooks(parts: Parts, flags: list[str], tmp_path: Path) -> None:
    subsets = FAMILIES + [tuple(sorted(random.sample(range(FORMS), random.randint(1, FORMS - 1)))) for _ in range(8)]
    for forms in subsets:
        bare, linked = parts.link(forms, flags, False), parts.link(forms, flags, True)
        for variables in ({}, {"HEADER": "1"}):
            wanted = outcome(bare, clean_environment(**variables))
            # A header on each block works for some subsets only.
            if wanted[0] != 0 and variables:
                continue
            assert wanted[0] == 0
            ways = {
                "preloaded": (bare, preloaded()),
                "preloaded, all sampled": (bare, preloaded(str(tmp_path / "%p.pb.gz"), 1)),
                "linked": (linked, clean_environment()),
                "linked, all sampled": (linked, clean_environment(SAMPLES="1")),
            }
            for way, (program, environment) in ways.items():
                assert outcome(program, environment | variables) == wanted, (forms, variables, way)


@pytest.mark.parametrize("sampled", [False, True], ids=["off", "all sampled"])
@pytest.mark.parametrize(
    "allocator",
    ["libtcmalloc.so", "libtcmalloc_minimal.so", "libtcmalloc_debug.so", "libtcmalloc_minimal_debug.so",
     "libjemalloc.so", "libc_malloc_debug.so"],
)  # fmt: skip
def test_any_allocator_works_behind_the_hooks(parts: Parts, allocator: str, sampled: bool, tmp_path: Path) -> None:
    program = parts.link((), [], False)
    environment = preloaded(str(tmp_path / "%p.pb.gz"), 1) if sampled else preloaded()
    # Makes allocators with built-in checks verify each block.
    checks = {"MALLOC_CHECK_": "3"}
    alone = clean_environment(LD_PRELOAD=library(allocator), **checks)
    both = environment | {"LD_PRELOAD": f"{environment['LD_PRELOAD']} {library(allocator)}"} | checks
    assert outcome(program, both) == outcome(program, alone) == (0, outcome(program, clean_environment())[1])
