# SPDX-License-Identifier: Apache-2.0
"""Hosts that give a process little: it runs as it would without us, and shows what can be seen from there."""

import re
from pathlib import Path

import pytest

from constraints import may
from exposition import Key, figures_in, key
from fleet_lab import Customer, Run
from harness import Quickstart, fetch, poll
from hosting import HOLDER, HOSTS, MAPPED, Guest, Host
from runtime_lab import memory_limit, total

pytestmark = pytest.mark.wait


OF_BUSY_MACHINE = r"warning: The .* (has not responded|did not respond)|info: heap sampling used more than"


@pytest.fixture(scope="module", name="usual")
def fixture_usual() -> set[str]:
    """The metrics that there are where nothing is withheld."""
    with Guest(HOSTS[0]) as guest:
        def all_read() -> set[str] | None:
            figures = guest.figures()
            read = {dict(labels)["reading"] for name, labels in figures if name == "outrider_reading_age_seconds"}
            return {name for name, _ in figures} if read == {"memory", "threads"} else None

        return poll("memory and threads were read", all_read)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_it_runs_and_shows_what_can_be_seen(host: Host, usual: set[str]) -> None:
    if not may(host.before):
        pytest.skip("this machine does not let a test withhold that")
    with Guest(host) as guest:
        guest.order(5)
        expected = {name for name in usual if not re.fullmatch(host.absent, name)}

        def all_shown() -> dict[Key, float] | None:
            # Some are read beside the scrapes, so a first one may come before them.
            found = guest.figures()
            return found if expected <= {name for name, _ in found} and found[key("orders_total", [])] == 5 else None

        figures = poll("what can be seen is shown", all_shown)
        assert bool(usual - {name for name, _ in figures}) == bool(host.absent)
        failures = "outrider_source_failures_total"

        def all_failed() -> bool | None:
            # Some are read beside the scrapes.
            return len({dict(labels)["source"] for name, labels in guest.figures() if name == failures}) == host.failures or None

        poll(f"{host.failures} sources have failed", all_failed)
        # One sample stands for 512 KiB, and there are 64 on average: that there are 16 or 256 never happens.
        assert MAPPED / 4 <= total(figures, "heap_live_bytes") <= MAPPED * 4
        assert (HOLDER in guest.top()) == host.names_functions
        assert b"stopped, with 8192 pages held" in guest.end()
        # On a busy machine an executor may be late, and a sample take longer, of which the agent tells everywhere.
        said = [line for line in guest.errors.read_text().splitlines() if not re.search(OF_BUSY_MACHINE, line)]
        assert len(said) == len(host.warnings)
        assert all(line.startswith("outrider: warning: ") and text in line for line, text in zip(said, host.warnings))


def test_64_mebibytes_are_enough_for_a_service_under_load(tmp_path: Path) -> None:
    limit = 64 << 20
    with Quickstart(tmp_path / "log", QUICKSTART_TRAFFIC="none") as service:
        try:
            group = memory_limit(service.popen.pid, limit)
            group.__enter__()
        except OSError as error:
            pytest.skip(f"this machine does not let a test limit memory: {error}")
        try:
            run = Run(service.target, service.service, 0)
            customers = [Customer(lambda: [run], number) for number in range(2)]
            for customer in customers:
                customer.start()
            for _ in range(10):
                assert fetch(f"{service.agent}/debug/pprof/heap")
                assert fetch(f"{service.agent}/metrics")
            poll("there was some load", lambda: run.answered() >= 500 or None)
            for customer in customers:
                customer.is_over.set()
                customer.join(120)
            figures = figures_in(fetch(f"{service.agent}/metrics"))
        finally:
            group.__exit__(None, None, None)
    assert service.popen.returncode == 0
    assert total(figures, "orders_placed_total") == run.answered() == run.sent()
    assert figures[key("cgroup_memory_limit_bytes", [])] == limit
    assert figures[key("process_resident_memory_bytes", [])] < limit
