# SPDX-License-Identifier: Apache-2.0
"""Programs that confine themselves to a few system calls: the hooks make no other one of their own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import clean_environment
from preloading import HOOKS, LIMIT, compiled, pprof, preloaded

pytestmark = pytest.mark.compute

SAID = b"outrider-heap: the process enters seccomp confinement: its profile ends at this moment\n"


def ended(command: list[str], environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    """How a program ended that ends by itself, not by the signal that the object waits for."""
    run = subprocess.run(
        command, env=environment, capture_output=True, timeout=LIMIT, stdin=subprocess.DEVNULL,
        # Without the thread that waits for it: one thread that ends in strict mode ends its process.
        preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("mode", ["filter", "strict"])
def test_sampling_goes_on_in_a_confined_program(mode: str, tmp_path: Path) -> None:
    program = compiled("confined.c")
    well = (0, b"confined\n", b"")
    assert ended([program, mode], clean_environment()) == ended([program, mode], preloaded()) == well
    for interval in (1, 4096):
        hooked = ended([program, mode], preloaded(f"{tmp_path}/profile.pb.gz", interval))
        assert hooked == (0, b"confined\n", SAID)


@pytest.mark.parametrize("mode", ["filter", "strict"])
def test_sampling_goes_on_where_the_hooks_are_linked(mode: str) -> None:
    sources = [str(file) for part in HOOKS for file in sorted(part.glob("*.c"))]
    program = compiled("confined.c", "-DLINKED", *(f"-I{part}/include" for part in HOOKS), *sources)
    assert ended([program, mode], clean_environment()) == (0, b"confined\n", b"")


def test_a_program_that_confines_itself_leaves_the_profile_of_before(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    # It ends by returning from main, where the hooks may open no file any more.
    status, output, errors = ended([compiled("confined.c"), "filter", "returns"], preloaded(str(profile), 1))
    assert (status, output) == (0, b"confined\n")
    assert errors == SAID
    assert "Type: inuse_space" in pprof("-top", str(profile))


def test_a_question_about_filters_confines_nothing(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ask = "import ctypes; libc = ctypes.CDLL(None); libc.prctl(22, 2, None); libc.syscall(317, 1, 1, None)"
    assert ended([sys.executable, "-c", ask], preloaded(str(profile), 4096)) == (0, b"", b"")
    assert "Type: inuse_space" in pprof("-top", str(profile))
