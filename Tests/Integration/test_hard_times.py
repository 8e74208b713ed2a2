# SPDX-License-Identifier: Apache-2.0
"""The host runs out of descriptors, or leaves in the middle: the agent does not make it worse."""

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
"""Descriptors that the host has left; fewer than the connections that the agent would take."""
CROWD = 100
"""Connections that come then; the kernel's queue holds those that are not accepted."""
OBSERVED_SECONDS = 0.5
TURNS = 20
BEATS = 10
"""Beats after each of which a probe would have been sent."""
PROBES = "swift_executor_delay_seconds_count"
CRASH = re.compile(r"(?i)fatal|crash|abort|panic|segmentation|sanitizer|assert|backtrace|corrupt")


def processor_seconds(server: Serving) -> float:
    """The processor time that the process has used so far (proc(5), utime and stime)."""
    text = Path(f"/proc/{server.popen.pid}/stat").read_text()
    user, system = text.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    """An agent on either kind of socket."""
    address = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"
    with Serving(tmp_path / "log", address, **CALM_MALLOC) as server:
        yield server


def test_without_descriptors_the_agent_waits_and_recovers(server: Serving) -> None:
    before, sockets = server.rested_holdings(), server.sockets()
    # As many as it has, and a few: what a host does that has leaked its files.
    limits = resource.prlimit(server.popen.pid, resource.RLIMIT_NOFILE)
    highest = max(int(fd.name) for fd in Path(f"/proc/{server.popen.pid}/fd").iterdir())
    narrow = (highest + 1 + SPARE, limits[1])
    resource.prlimit(server.popen.pid, resource.RLIMIT_NOFILE, narrow)
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(Client(server.url))

        def rests() -> bool | None:
            start, used = time.monotonic(), processor_seconds(server)
            observed("it runs", lambda: server.popen.poll() is None, OBSERVED_SECONDS)
            used = processor_seconds(server) - used
            return used < (time.monotonic() - start) / 10 or None

        poll("some are accepted", lambda: server.sockets() > sockets or None, SECONDS)
        # Once those that it has are cared for, it only tries again now and then, which uses next to
        # nothing. A spin would use what it can get for as long as they wait.
        poll("it uses next to no processor time", rests, SECONDS)
    # Those who have left are the only ones who were in the way.
    poll("a scrape works again", lambda: scrape(server.url) or None)
    server.await_return_to(before, memory=32 << 20)


def test_no_probe_is_sent_while_hardly_a_descriptor_is_left(tmp_path: Path) -> None:
    # Dispatch opens a file while jobs wait, and traps when it cannot: none may wait for the agent's sake then.
    with RuntimeLab(log=tmp_path / "log") as lab:
        limits = resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE)

        def probes() -> float:
            return total(lab.figures(), PROBES)

        poll("it is probed", lambda: probes() > 0 or None)
        # Some files are open for a moment only, so the lowest limit of several looks is the right one. A scrape
        # between two looks sees to it that they are of different moments.
        limits_seen = [few_left(lab) for _ in range(20) if lab.figures()]
        resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE, (min(limits_seen), limits[1]))

        def sends_none() -> bool | None:
            before, beat = probes(), beats(lab)
            poll("the beat goes on", lambda: beats(lab) >= beat + BEATS or None, SECONDS)
            return probes() == before or None

        poll("no probe is sent", sends_none, SECONDS)
        resource.prlimit(lab.popen.pid, resource.RLIMIT_NOFILE, limits)
        before = probes()
        poll("probes go on", lambda: probes() > before or None)


def few_left(lab: RuntimeLab) -> int:
    """A limit that leaves eight descriptors free, as it looks at this moment."""
    used = {int(path.name) for path in (lab.proc / "fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, 8, None))


def beats(lab: RuntimeLab) -> int:
    """How often the thread of the beat has gone to sleep so far."""
    for thread in (lab.proc / "task").iterdir():
        if (thread / "comm").read_text().strip() == "outrider-beat":
            status = (thread / "status").read_text()
            return int(re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)$", status)[0])
    raise AssertionError("there is no beat")


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_host_that_exits_in_the_middle_ends_as_it_wants(tmp_path: Path, turn: int) -> None:
    # Half of them on a Unix socket, and each with the requests at another point.
    address = f"unix:{tmp_path}/agent.sock" if turn % 2 else "127.0.0.1:0"
    pages = {"PROBE_SERIES": "2000", "PROBE_PAGE_SECONDS": "600"}
    server = Serving(tmp_path / "log", address, **pages)
    try:
        with ExitStack() as stack:
            for path in ("/slow", "/large", "/stuck", "/metrics", "/metrics", "/healthz"):
                client = stack.enter_context(Client(server.url, window=4096))
                client.send(get() + get(path))
                assert client.answer().status == 200
            half = stack.enter_context(Client(server.url))
            half.send(get()[:-2])
            if turn % 4 == 3:
                # With a stop that has not got rid of the page that hangs.
                server.order("stop")
            server.order("exit")
            # Far less than the pages take by themselves.
            assert server.popen.wait(SECONDS) == 0, server.said
            half.read_to_end()
        assert not CRASH.search(server.said), server.said
    finally:
        server.stop()
