# SPDX-License-Identifier: Apache-2.0
"""Programs that confine themselves to a few system calls: the hooks make no others."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Lines, clean_environment
from preload_tools import HOOKS, LIMIT, compiled, pprof, preloaded

pytestmark = pytest.mark.compute

SAID = b"outrider-heap: the process enters seccomp confinement: its profile ends at this moment\n"


def ended(command: list[str], environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    """Runs a program that exits by itself; returns its status and output."""
    run = subprocess.run(
        command, env=environment, capture_output=True, timeout=LIMIT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("mode", ["filter", "strict"])
def test_sampling_continues_in_a_confined_program(mode: str, tmp_path: Path) -> None:
    program = compiled("confined.c")
    well = (0, b"confined\n", b"")
    assert ended([program, mode], clean_environment()) == ended([program, mode], preloaded()) == well
    for interval in (1, 4096):
        hooked = ended([program, mode], preloaded(f"{tmp_path}/profile.pb.gz", interval))
        assert hooked == (0, b"confined\n", SAID)


@pytest.mark.parametrize("mode", ["filter", "strict"])
def test_sampling_continues_with_linked_hooks(mode: str) -> None:
    sources = [str(file) for part in HOOKS for file in sorted(part.glob("*.c"))]
    program = compiled("confined.c", "-DLINKED", *(f"-I{part}/include" for part in HOOKS), *sources)
    assert ended([program, mode], clean_environment()) == (0, b"confined\n", b"")


def test_a_program_that_confines_itself_keeps_the_profile_written_before(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    # It returns from main, where the hooks may no longer open a file.
    status, output, errors = ended([compiled("confined.c"), "filter", "returns"], preloaded(str(profile), 1))
    assert (status, output) == (0, b"confined\n")
    assert errors == SAID
    assert "Type: inuse_space" in pprof("-top", str(profile))


def test_a_signal_to_a_confined_program_does_nothing(tmp_path: Path) -> None:
    command, profile = [compiled("confined.c"), "strict", "waits"], tmp_path / "profile.pb.gz"
    with subprocess.Popen(
        command, env=preloaded(str(profile), 1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert Lines(program.stdout).read(LIMIT) == b"confined\n"
        profile.unlink()
        program.send_signal(signal.SIGUSR2)
        _, errors = program.communicate(b"\n", timeout=LIMIT)
    assert (program.returncode, errors, profile.exists()) == (0, SAID, False)


def test_querying_seccomp_does_not_count_as_confinement(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    script = "import ctypes; libc = ctypes.CDLL(None); libc.prctl(22, 2, None); libc.syscall(317, 1, 1, None)"
    assert ended([sys.executable, "-c", script], preloaded(str(profile), 4096)) == (0, b"", b"")
    assert "Type: inuse_space" in pprof("-top", str(profile))
