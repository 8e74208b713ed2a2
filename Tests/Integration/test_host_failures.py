# SPDX-License-Identifier: Apache-2.0
"""The host runs out of descriptors, or exits during requests: the agent adds no further
failure."""

import itertools
import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import poll
from raw import SECONDS, Client, get
from runtime_lab import RuntimeLab, total
from serving import CALM_MALLOC, Serving, observed, scrape

pytestmark = pytest.mark.wait

SPARE = 12
"""Descriptors that the host has left; fewer than the agent would accept connections."""
CROWD = 100
"""Connections opened then; those not accepted stay in the kernel's queue."""
OBSERVED_SECONDS = 0.5
TURNS = 20
TICKS = 10
"""Ticks of the one-second timer, each of which would have sent a probe."""
PROBES = "swift_executor_delay_seconds_count"
CRASH = re.compile(r"(?i)fatal|crash|abort|panic|segmentation|sanitizer|assert|backtrace|corrupt")


def processor_seconds(server: Serving) -> float:
    """The CPU time of the process so far (proc(5), utime and stime)."""
    text = Path(f"/proc/{server.popen.pid}/stat").read_text()
    user, system = text.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    """An agent on a TCP or a Unix socket."""
    address = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"
    with Serving(tmp_path / "log", address, **CALM_MALLOC) as server:
        yield server


def test_without_descriptors_the_agent_waits_and_recovers(server: Serving) -> None:
    before, sockets = server.rested_holdings(), server.sockets()
    # A limit just above the descriptors in use, as for a host that leaks files.
    limits = resource.prlimit(server.popen.pid, resource.RLIMIT_NOFILE)
    highest = max(int(fd.name) for fd in Path(f"/proc/{server.popen.pid}/fd").iterdir())
    narrow = (highest + 1 + SPARE, limits[1])
    resource.prlimit(server.popen.pid, resource.RLIMIT_NOFILE, narrow)
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(Client(server.url))

        def rests() -> bool | None:
            start, used = time.monotonic(), processor_seconds(server)
            observed("the process runs", lambda: server.popen.poll() is None, OBSERVED_SECONDS)
            used = processor_seconds(server) - used
            return used < (time.monotonic() - start) / 10 or None

        poll("some connections are accepted", lambda: server.sockets() > sockets or None, SECONDS)
        # After it has handled the accepted connections, it only retries now and then, which uses
        # next to no CPU. A busy loop would use all that it can get while the others wait.
        poll("the process uses next to no CPU time", rests, SECONDS)
    # Only the closed connections were in the way.
    poll("a scrape works again", lambda: scrape(server.url) or None)
    server.await_return_to(before, memory=32 << 20)


def test_no_probe_is_sent_while_descriptors_are_scarce(tmp_path: Path) -> None:
    # Dispatch opens a file while jobs wait, and traps if it cannot: the agent must not enqueue any
    # then.
    with RuntimeLab(log=tmp_path / "log") as lab:
        limits = resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE)

        def probes() -> float:
            return total(lab.samples(), PROBES)

        poll("the executors are probed", lambda: probes() > 0 or None)
        # Some files are open only briefly, so the lowest of several readings is the right limit. A
        # scrape between two readings ensures that they are taken at different times.
        limits_seen = [limit_with_few_left(lab) for _ in range(20) if lab.samples()]
        resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE, (min(limits_seen), limits[1]))

        def sends_none() -> bool | None:
            before, wakeups = probes(), timer_wakeups(lab)
            poll("the timer keeps firing", lambda: timer_wakeups(lab) >= wakeups + TICKS or None, SECONDS)
            return probes() == before or None

        poll("no probe is sent", sends_none, SECONDS)
        resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE, limits)
        before = probes()
        poll("probes are sent again", lambda: probes() > before or None)


def limit_with_few_left(lab: RuntimeLab) -> int:
    """A limit that currently leaves eight descriptors free."""
    used = {int(path.name) for path in (lab.proc / "fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, 8, None))


def timer_wakeups(lab: RuntimeLab) -> int:
    """How often the timer thread has gone to sleep so far."""
    for thread in (lab.proc / "task").iterdir():
        if (thread / "comm").read_text().strip() == "outrider-beat":
            status = (thread / "status").read_text()
            return int(re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)$", status)[0])
    raise AssertionError("no timer thread")


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_host_can_exit_at_any_stage_of_a_request(tmp_path: Path, turn: int) -> None:
    # Alternating TCP and Unix sockets, each with the requests at a different stage.
    address = f"unix:{tmp_path}/agent.sock" if turn % 2 else "127.0.0.1:0"
    pages = {"PROBE_SERIES": "2000", "PROBE_PAGE_SECONDS": "600"}
    server = Serving(tmp_path / "log", address, **pages)
    try:
        with ExitStack() as stack:
            for path in ("/slow", "/large", "/stuck", "/metrics", "/metrics", "/healthz"):
                client = stack.enter_context(Client(server.url, window=4096))
                client.send(get() + get(path))
                assert client.read_response().status == 200
            half = stack.enter_context(Client(server.url))
            half.send(get()[:-2])
            if turn % 4 == 3:
                # During a stop that still waits for the hung page.
                server.order("stop")
            server.order("exit")
            # Far less than the pages take by themselves.
            assert server.popen.wait(SECONDS) == 0, server.log_text
            half.read_to_end()
        assert not CRASH.search(server.log_text), server.log_text
    finally:
        server.stop()
