# SPDX-License-Identifier: Apache-2.0
"""An agent that nobody asks does nothing at all."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import fetch, poll
from probing import IdleAgent

OBSERVED_SECONDS = 3.0


@pytest.fixture
def agent() -> Iterator[IdleAgent]:
    """A process that does nothing but have an agent."""
    with IdleAgent() as process:
        yield process


def waits(agent: IdleAgent) -> dict[str, int]:
    """How often each thread of the process has gone to sleep so far."""
    found: dict[str, int] = {}
    for thread in Path(f"/proc/{agent.popen.pid}/task").iterdir():
        status = (thread / "status").read_text()
        found[thread.name] = int(re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)$", status)[0])
    return found


def settled(agent: IdleAgent) -> dict[str, int]:
    """The counts once nothing moves any more."""
    before: dict[str, int] = {}

    def attempt() -> dict[str, int] | None:
        nonlocal before
        before, previous = waits(agent), before
        return before if before == previous else None

    return poll("the process has come to rest", attempt)


def test_an_agent_without_clients_never_wakes(agent: IdleAgent) -> None:
    before = settled(agent)
    # Nothing is waited for: this time is what is observed.
    time.sleep(OBSERVED_SECONDS)
    after = waits(agent)
    assert len(after) >= 2, "the agent has no thread of its own"
    assert after == before


def test_an_agent_rests_again_after_a_scrape(agent: IdleAgent) -> None:
    assert b"outrider_build_info" in fetch(f"{agent.url}/metrics")
    before = settled(agent)
    time.sleep(OBSERVED_SECONDS)
    assert waits(agent) == before
