# SPDX-License-Identifier: Apache-2.0
"""An idle agent wakes once a second, and takes little memory."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import fetch, poll
from probe_programs import BareService, IdleAgent, ProbeAgent, ServingProbe

pytestmark = pytest.mark.wait

OBSERVED_SECONDS = 2.2
MEBIBYTE = 1 << 20


@pytest.fixture
def agent() -> Iterator[IdleAgent]:
    """A process that only runs an agent, with the default listeners: the main one and that of
    /debug."""
    with IdleAgent(OUTRIDER_DEBUG_ADDRESS="") as process:
        yield process


def waits(agent: ProbeAgent) -> dict[tuple[str, str], int]:
    """How often each thread of the agent has gone to sleep so far, by thread ID and name.

    Dispatch's threads and the main thread belong to the host: they run the probes of its executors.
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
    """How often its threads woke during the observation, by name; and the duration in seconds."""
    begin = time.monotonic()
    before = waits(agent)
    # A plain sleep: this is the observed period.
    time.sleep(OBSERVED_SECONDS)
    counts: dict[str, int] = {}
    for key, count in waits(agent).items():
        counts[key[1]] = counts.get(key[1], 0) + count - before.get(key, 0)
    return counts, time.monotonic() - begin


def await_calm(agent: ProbeAgent) -> None:
    """Waits for a period in which only the one-second timer woke, once a second.

    On a busy machine the timer thread may also wait for a page or a lock, which the kernel counts
    as well, or be late. Threads that wake more often do so in every period.
    """

    def attempt() -> bool | None:
        counts, seconds = wakeups(agent)
        ticks = counts.pop("outrider-beat")
        # One more if the period starts just before a tick.
        return (1 <= ticks <= seconds + 1 and not any(counts.values())) or None

    poll("only the timer wakes, once a second", attempt, 60)


def await_first_readings(agent: ProbeAgent, listeners: int = 2) -> None:
    """Waits until the first readings are complete."""
    wanted = [*["MHD-listen"] * listeners, *["outrider-accept"] * listeners, "outrider-beat"]
    poll(
        "only the timer and the listeners have threads",
        lambda: sorted(name for _, name in waits(agent)) == wanted or None,
    )


def test_an_agent_without_clients_wakes_once_a_second(agent: IdleAgent) -> None:
    await_first_readings(agent)
    await_calm(agent)


def test_an_agent_rests_again_after_a_scrape() -> None:
    # The thread that cuts slow clients stays until the deadline for which it was started.
    with ServingProbe(PROBE_HEADER_SECONDS="1") as agent:
        assert b"outrider_build_info" in fetch(f"{agent.url}/metrics")
        await_first_readings(agent, listeners=1)
        await_calm(agent)


def memory(process: ProbeAgent) -> tuple[int, int]:
    """Resident memory in total, and its part without file pages."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    sizes = dict(re.findall(r"(?m)^(VmRSS|RssAnon):\s+(\d+) kB$", status))
    return int(sizes["VmRSS"]) << 10, int(sizes["RssAnon"]) << 10


def test_an_agent_with_every_default_takes_little_memory(agent: IdleAgent) -> None:
    with BareService() as bare:
        await_first_readings(agent)
        assert b"outrider_build_info" in fetch(f"{agent.url}/metrics")
        (resident, own), (bare_resident, bare_own) = memory(agent), memory(bare)
    assert own - bare_own <= 2 * MEBIBYTE
    # Includes the code pages in use, of which a debug build has more.
    assert resident - bare_resident <= 5 * MEBIBYTE
