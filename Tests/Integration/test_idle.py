# SPDX-License-Identifier: Apache-2.0
"""An agent that nobody asks does nothing at all."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import clean_environment, fetch, poll, probe_binary

OBSERVED_SECONDS = 3.0


@pytest.fixture
def idle_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but have an agent."""
    process = subprocess.Popen(
        [probe_binary(), "idle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
    )
    yield process
    try:
        # The end of its input ends it.
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def waits(process: int) -> dict[str, int]:
    """How often each thread of a process has gone to sleep so far."""
    threads = Path(f"/proc/{process}/task")
    found: dict[str, int] = {}
    for thread in threads.iterdir():
        status = (thread / "status").read_text()
        found[thread.name] = int(re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)$", status)[0])
    return found


def settled(process: int) -> dict[str, int]:
    """The counts once nothing moves any more: the start is over."""
    before: dict[str, int] = {}

    def attempt() -> dict[str, int] | None:
        nonlocal before
        before, previous = waits(process), before
        return before if before == previous else None

    return poll("the process has come to rest", attempt)


def test_an_agent_without_clients_never_wakes(idle_process: subprocess.Popen[bytes]) -> None:
    assert idle_process.stdout is not None
    assert idle_process.stdout.readline().startswith(b"http://127.0.0.1:")
    before = settled(idle_process.pid)
    # The time of this is what is observed; nothing is waited for.
    time.sleep(OBSERVED_SECONDS)
    after = waits(idle_process.pid)
    assert len(after) >= 2, "the agent has no thread"
    assert after == before


def test_an_agent_rests_again_after_a_scrape(idle_process: subprocess.Popen[bytes]) -> None:
    assert idle_process.stdout is not None
    url = idle_process.stdout.readline().decode().strip()
    assert b"outrider_build_info" in fetch(f"{url}/metrics")
    before = settled(idle_process.pid)
    time.sleep(OBSERVED_SECONDS)
    assert waits(idle_process.pid) == before
