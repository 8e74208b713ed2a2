# SPDX-License-Identifier: Apache-2.0
"""Restricted hosts: the program runs as it would without Outrider, and exposes every metric that is
available there."""

import re
from pathlib import Path

import pytest

from constraints import is_permitted
from exposition import Key, parse_samples, key
from fleet_lab import Customer, Run
from harness import Quickstart, fetch, poll
from restricted_hosts import HOLDER, HOSTS, MAPPED, HostedProgram, Host
from runtime_lab import memory_limit, total

pytestmark = pytest.mark.wait


OF_BUSY_MACHINE = r"warning: The .* (has not responded|did not respond)|info: heap sampling used more than"


@pytest.fixture(scope="module", name="usual")
def fixture_usual() -> set[str]:
    """The metrics on an unrestricted host."""
    with HostedProgram(HOSTS[0]) as hosted:
        def all_read() -> set[str] | None:
            samples = hosted.samples()
            read = {dict(labels)["reading"] for name, labels in samples if name == "outrider_reading_age_seconds"}
            return {name for name, _ in samples} if read == {"memory", "threads"} else None

        return poll("memory and threads have been read", all_read)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_the_program_runs_and_exposes_every_available_metric(host: Host, usual: set[str]) -> None:
    if not is_permitted(host.before):
        pytest.skip("this machine does not permit this restriction")
    with HostedProgram(host) as hosted:
        hosted.order(5)
        expected = {name for name in usual if not re.fullmatch(host.absent, name)}

        def all_exposed() -> dict[Key, float] | None:
            # Some readings are taken in the background, so the first scrape may lack them.
            found = hosted.samples()
            return found if expected <= {name for name, _ in found} and found[key("orders_total", [])] == 5 else None

        samples = poll("every available metric is exposed", all_exposed)
        assert bool(usual - {name for name, _ in samples}) == bool(host.absent)
        failures = "outrider_source_failures_total"

        def all_failed() -> bool | None:
            # Some readings are taken in the background.
            return len({dict(labels)["source"] for name, labels in hosted.samples() if name == failures}) == host.failures or None

        poll(f"{host.failures} sources have failed", all_failed)
        # One sample represents 512 KiB, and 64 are expected: fewer than 16 or more than 256 are
        # practically impossible.
        assert MAPPED / 4 <= total(samples, "heap_live_bytes") <= MAPPED * 4
        assert (HOLDER in hosted.top()) == host.names_functions
        assert b"stopped, with 8192 pages held" in hosted.end()
        # On a busy machine an executor may be late, or a sample take longer; the agent logs that on
        # every host.
        logged = [line for line in hosted.errors.read_text().splitlines() if not re.search(OF_BUSY_MACHINE, line)]
        assert len(logged) == len(host.warnings)
        assert all(line.startswith("outrider: warning: ") and text in line for line, text in zip(logged, host.warnings))


def test_64_mebibytes_are_enough_for_a_service_under_load(tmp_path: Path) -> None:
    limit = 64 << 20
    with Quickstart(tmp_path / "log", QUICKSTART_TRAFFIC="none") as service:
        try:
            group = memory_limit(service.popen.pid, limit)
            group.__enter__()
        except OSError as error:
            pytest.skip(f"this machine does not permit a memory limit: {error}")
        try:
            run = Run(service.target, service.service, 0)
            customers = [Customer(lambda: [run], number) for number in range(2)]
            for customer in customers:
                customer.start()
            for _ in range(10):
                assert fetch(f"{service.agent}/debug/pprof/heap")
                assert fetch(f"{service.agent}/metrics")
            poll("the service has had some load", lambda: run.answered() >= 500 or None)
            for customer in customers:
                customer.is_over.set()
                customer.join(120)
            samples = parse_samples(fetch(f"{service.agent}/metrics"))
        finally:
            group.__exit__(None, None, None)
    assert service.popen.returncode == 0
    assert total(samples, "orders_placed_total") == run.answered() == run.sent()
    assert samples[key("cgroup_memory_limit_bytes", [])] == limit
    assert samples[key("process_resident_memory_bytes", [])] < limit
