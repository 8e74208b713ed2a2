# SPDX-License-Identifier: Apache-2.0
"""Start and end of the quickstart, and its behaviour if the agent's port is taken."""

import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

from harness import Lines, Quickstart, clean_environment, fetch, poll, release_binary
from ports import reserved_port

pytestmark = pytest.mark.wait


def test_it_ends_by_itself_after_seconds_to_run(tmp_path: Path) -> None:
    with Quickstart(tmp_path / "log", SECONDS_TO_RUN="1") as service:
        assert service.wait(seconds=60) == 0
        assert service.output.endswith("stopped\n")


# Several times, since the server's shutdown depends on timing.
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_cleanly_within_five_seconds(number: signal.Signals, turn: int) -> None:
    # A pipe, so that the signal arrives just when the service reports that it handles it.
    begin = time.monotonic()
    service = subprocess.Popen(
        [release_binary("quickstart")],
        stdout=subprocess.PIPE,
        env=clean_environment(QUICKSTART_PORT="0", OUTRIDER_ADDRESS="127.0.0.1:0"),
    )
    try:
        lines = Lines(service.stdout)
        while b"Ctrl-C stops it" not in lines.read(seconds=60):
            pass
        ready = time.monotonic()
        service.send_signal(number)
        output, _ = service.communicate(timeout=120)
        end = time.monotonic()
        assert (service.returncode, output) == (0, b"stopped\n")
        # A machine that is slow to stop it was slow to start it as well.
        assert end - ready < max(5, 10 * (ready - begin))
    finally:
        service.kill()
        service.communicate(timeout=60)


def test_a_service_with_a_taken_port_reports_it_and_exits(tmp_path: Path) -> None:
    with Quickstart(tmp_path / "first") as first:
        port = first.service.rsplit(":", 1)[1]
        second = subprocess.run(
            [release_binary("quickstart")],
            capture_output=True,
            env=clean_environment(QUICKSTART_PORT=port, OUTRIDER_ADDRESS="127.0.0.1:0"),
            timeout=120,
        )
        assert second.returncode == 1
        assert b"QUICKSTART_PORT" in second.stdout


def test_an_agent_waits_for_a_taken_port(tmp_path: Path) -> None:
    # No other test takes it while it is free.
    agent = f"127.0.0.1:{reserved_port()}"
    with (
        Quickstart(tmp_path / "first", agent=agent) as first,
        Quickstart(tmp_path / "second", agent=first.target) as second,
    ):
        # One line names the problem and what to do.
        advice = second.find(r"(?m)^outrider: error: (.*)$")
        assert f"cannot listen on {first.target}: address in use" in advice
        assert "OUTRIDER_ADDRESS" in advice
        assert second.agent.startswith("not listening yet")
        # Its customers are still served, and scrapes of the first agent continue.
        assert fetch(f"{second.service}/").startswith(b"Try GET")
        assert "outrider_build_info" in first.metrics()

        start = started(first.agent)
        first.stop()
        poll("the second agent has the port", lambda: started(first.agent) != start or None)
        assert fetch(f"{first.agent}/readyz")
        assert fetch(f"{second.service}/").startswith(b"Try GET")


def started(agent: str) -> str:
    """The start time of the agent's process, from its own metrics."""
    name = "process_start_time_seconds"
    query = urllib.parse.urlencode({"name[]": name})
    lines = fetch(f"{agent}/metrics?{query}").decode("utf-8").split("\n")
    (value,) = [line.split(" ")[1] for line in lines if line.startswith(f"{name} ")]
    return value
