# SPDX-License-Identifier: Apache-2.0
"""The preloaded object in programs without threads: they stay without them, and profiles are
written at SIGUSR2 whatever the program is doing."""

import gzip
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import clean_environment, poll, system_binary
from preload_tools import (
    BEHIND, LIMIT, compiled, life, outcome, pprof, preloaded, run, start, start_until_ready,
)

pytestmark = pytest.mark.compute

SIGNALS = 30
"""Profiles requested from a program that is in the middle of something."""
MORE = 14
"""Instructions that the hooks add to a pair of malloc and free: 12, and a rest for the loop."""


def threads(process: int) -> int:
    """The number of threads of a process."""
    return len(os.listdir(f"/proc/{process}/task"))


def wait_for(profile: Path) -> None:
    """Waits until a profile is there."""
    poll("the profile exists", lambda: profile.exists() or None, LIMIT)


def request(popen: subprocess.Popen[bytes], profile: Path) -> None:
    """Requests a profile, and waits for it."""
    popen.send_signal(signal.SIGUSR2)
    wait_for(profile)


def end(popen: subprocess.Popen[bytes]) -> None:
    """Ends a program that waits for a line, and checks that nothing went wrong."""
    _, errors = popen.communicate(b"\n", timeout=LIMIT)
    assert (popen.returncode, errors) == (0, b"")


def test_a_program_without_threads_stays_without_them(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, _ = start_until_ready(life("wait"), profile)
    assert threads(popen.pid) == 1
    request(popen, profile)
    assert "main" in pprof("-top", str(profile))
    assert threads(popen.pid) == 1
    end(popen)


def test_a_program_with_threads_has_one_more(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, _ = start_until_ready(life("thread"), profile)
    assert threads(popen.pid) == 3
    request(popen, profile)
    end(popen)


def test_a_forked_child_writes_a_profile_at_the_signal_too(tmp_path: Path) -> None:
    popen, lines = start(life("child"), f"{tmp_path}/%p.pb.gz")
    child = int(lines.read(LIMIT) or 0)
    assert lines.read(LIMIT) == b"ready\n"
    os.kill(child, signal.SIGUSR2)
    wait_for(tmp_path / f"{child}.pb.gz")
    end(popen)
    assert {path.name for path in tmp_path.iterdir()} == {f"{process}.pb.gz" for process in (popen.pid, child)}


def test_a_program_without_threads_may_enter_a_user_namespace(tmp_path: Path) -> None:
    command = [system_binary("unshare"), "--user", "true"]
    hooked = outcome(command, preloaded(f"{tmp_path}/%p.pb.gz", 1))
    assert hooked == outcome(command, clean_environment())


@pytest.mark.parametrize("behind", BEHIND)
def test_a_signal_in_the_middle_of_malloc_or_of_a_handler_is_harmless(behind: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, _ = start_until_ready([compiled("interrupted.c")], profile, behind)
    for _ in range(SIGNALS):
        request(popen, profile)
        gzip.decompress(profile.read_bytes())
        profile.unlink()
    output, errors = popen.communicate(timeout=LIMIT)
    assert (popen.returncode, output, errors) == (0, b"every block kept its content\n", b"")
    assert "main" in pprof("-top", "-sample_index=alloc_space", str(profile))


def test_a_writer_that_is_killed_is_reported_and_the_next_profile_is_written(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, _ = start_until_ready(life("wait"), profile)
    children = Path(f"/proc/{popen.pid}/task/{popen.pid}/children")

    def is_killed() -> bool | None:
        # The writer may end before it is found; then there is a profile.
        profile.unlink(missing_ok=True)
        popen.send_signal(signal.SIGUSR2)
        for process in children.read_text().split():
            # That of the previous signal, if this one is still on its way.
            if is_zombie(process):
                return None
            os.kill(int(process), signal.SIGKILL)
            poll("the writer is a zombie", lambda process=process: is_zombie(process) or None, LIMIT)  # type: ignore[misc]
            return not profile.exists() or None
        return None

    poll("a writer is killed before its end", is_killed, LIMIT)
    request(popen, profile)
    _, errors = popen.communicate(b"\n", timeout=LIMIT)
    line = b"outrider-heap: no profile: the process that wrote the previous one was ended\n"
    assert popen.returncode == 0 and set(errors.splitlines(keepends=True)) == {line}


def is_zombie(process: str) -> bool:
    """Whether a process has ended and is not yet waited for."""
    state = re.search(r"\) (\w)", Path(f"/proc/{process}/stat").read_text())
    return state is not None and state[1] == "Z"


def instructions(count: int, environment: dict[str, str], folder: Path) -> int:
    """The instructions of a program that allocates and frees so many times."""
    ended = run(
        [system_binary("valgrind"), "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind",
         compiled("pairs.c"), str(count)],
        environment,
    )  # fmt: skip
    found = re.search(rb"Collected : (\d+)", ended.errors)
    assert ended.status == 0 and found, ended.errors
    return int(found[1])


def test_a_pair_of_malloc_and_free_costs_a_program_without_threads_a_dozen_instructions(tmp_path: Path) -> None:
    count = 20_000

    def cost_of_a_pair(environment: dict[str, str]) -> float:
        return (instructions(2 * count, environment, tmp_path) - instructions(count, environment, tmp_path)) / count

    # Rarely sampled: what a sample costs is measured elsewhere.
    hooked = cost_of_a_pair(preloaded(f"{tmp_path}/profile.pb.gz", 1 << 40))
    assert hooked <= cost_of_a_pair(clean_environment()) + MORE
