# SPDX-License-Identifier: Apache-2.0
"""An agent that nobody asks has one beat a second, and takes little memory."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import fetch, poll
from probing import BareService, IdleAgent, ProbeAgent, ServingProbe

pytestmark = pytest.mark.wait

OBSERVED_SECONDS = 2.2
MEBIBYTE = 1 << 20


@pytest.fixture
def agent() -> Iterator[IdleAgent]:
    """A process that does nothing but have an agent, with the default listeners: the main one, and that of /debug."""
    with IdleAgent(OUTRIDER_DEBUG_ADDRESS="") as process:
        yield process


def waits(agent: ProbeAgent) -> dict[tuple[str, str], int]:
    """How often each thread of the agent's own has gone to sleep so far, by number and name.

    Those of Dispatch and the main thread are the host's: they run what it is probed with.
    """
    found: dict[tuple[str, str], int] = {}
    for thread in Path(f"/proc/{agent.popen.pid}/task").iterdir():
        name = (thread / "comm").read_text().strip()
        if name.startswith(("outrider-", "MHD-")) and int(thread.name) != agent.popen.pid:
            status = (thread / "status").read_text()
            count = re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)$", status)[0]
            found[thread.name, name] = int(count)
    return found


def wakeups(agent: ProbeAgent) -> tuple[dict[str, int], float]:
    """How often its threads wake within the seconds that are observed, by their names; and the seconds."""
    begin = time.monotonic()
    before = waits(agent)
    # Nothing is waited for: this time is what is observed.
    time.sleep(OBSERVED_SECONDS)
    counts: dict[str, int] = {}
    for key, count in waits(agent).items():
        counts[key[1]] = counts.get(key[1], 0) + count - before.get(key, 0)
    return counts, time.monotonic() - begin


def await_calm(agent: ProbeAgent) -> None:
    """Waits for seconds in which nothing but the beat has woken, once in each of them.

    On a busy machine a beat may also wait for a page or a lock, which the kernel counts as well, or
    come late. Threads that wake more often do so in any seconds.
    """

    def attempt() -> bool | None:
        counts, seconds = wakeups(agent)
        beats = counts.pop("outrider-beat")
        # One more if the time observed begins just before one.
        return (1 <= beats <= seconds + 1 and not any(counts.values())) or None

    poll("only the beat wakes, once a second", attempt, 60)


def rested(agent: ProbeAgent, listeners: int = 2) -> None:
    """Waits until the first readings are through."""
    wanted = [*["MHD-listen"] * listeners, *["outrider-accept"] * listeners, "outrider-beat"]
    poll(
        "the beat is all there is besides the listeners",
        lambda: sorted(name for _, name in waits(agent)) == wanted or None,
    )


def test_an_agent_without_clients_wakes_once_a_second(agent: IdleAgent) -> None:
    rested(agent)
    await_calm(agent)


def test_an_agent_rests_again_after_a_scrape() -> None:
    # The thread that would end a slow client is there until the deadline that it was started for.
    with ServingProbe(PROBE_HEADER_SECONDS="1") as agent:
        assert b"outrider_build_info" in fetch(f"{agent.url}/metrics")
        rested(agent, listeners=1)
        await_calm(agent)


def memory(process: ProbeAgent) -> tuple[int, int]:
    """What is resident in all, and what of it is no page of a file."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    sizes = dict(re.findall(r"(?m)^(VmRSS|RssAnon):\s+(\d+) kB$", status))
    return int(sizes["VmRSS"]) << 10, int(sizes["RssAnon"]) << 10


def test_an_agent_with_every_default_takes_little_memory(agent: IdleAgent) -> None:
    with BareService() as bare:
        rested(agent)
        assert b"outrider_build_info" in fetch(f"{agent.url}/metrics")
        (resident, own), (bare_resident, bare_own) = memory(agent), memory(bare)
    assert own - bare_own <= 2 * MEBIBYTE
    # With the code that has been used, which a debug build has more of.
    assert resident - bare_resident <= 5 * MEBIBYTE
