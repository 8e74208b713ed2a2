# SPDX-License-Identifier: Apache-2.0
"""How the example service begins and ends, and what it does when its agent's port is taken."""

import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

from harness import Lines, Quickstart, clean_environment, fetch, poll, release_binary
from ports import reserved_port

pytestmark = pytest.mark.wait


def test_it_ends_by_itself_after_the_seconds_it_was_given(tmp_path: Path) -> None:
    with Quickstart(tmp_path / "log", SECONDS_TO_RUN="1") as service:
        assert service.wait(seconds=60) == 0
        assert service.output.endswith("stopped\n")


# Several times, since the server ends in one way or another as the moment will have it.
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_properly_within_five_seconds(number: signal.Signals, turn: int) -> None:
    # A pipe, so that the signal comes in the very moment in which it promises to heed it.
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
        # A machine on which that takes longer took its time for the start as well.
        assert end - ready < max(5, 10 * (ready - begin))
    finally:
        service.kill()
        service.communicate(timeout=60)


def test_a_service_whose_own_port_is_taken_says_so_and_ends(tmp_path: Path) -> None:
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


def test_a_second_service_on_a_taken_port_waits_for_it(tmp_path: Path) -> None:
    # Nobody else takes it while it is free.
    agent = f"127.0.0.1:{reserved_port()}"
    with (
        Quickstart(tmp_path / "first", agent=agent) as first,
        Quickstart(tmp_path / "second", agent=first.target) as second,
    ):
        # It says what is wrong and what to do, in one line.
        advice = second.find(r"(?m)^outrider: error: (.*)$")
        assert f"cannot listen on {first.target}: address in use" in advice
        assert "OUTRIDER_ADDRESS" in advice
        assert second.agent.startswith("not listening yet")
        # Its customers are served all the same, and the first one's scrapes go on.
        assert fetch(f"{second.service}/").startswith(b"Try GET")
        assert "outrider_build_info" in first.metrics()

        start = started(first.agent)
        first.stop()
        poll("the second agent has the port", lambda: started(first.agent) != start or None)
        assert fetch(f"{first.agent}/readyz")
        assert fetch(f"{second.service}/").startswith(b"Try GET")


def started(agent: str) -> str:
    """When the process behind an agent started, as it says itself."""
    name = "process_start_time_seconds"
    query = urllib.parse.urlencode({"name[]": name})
    lines = fetch(f"{agent}/metrics?{query}").decode("utf-8").split("\n")
    (value,) = [line.split(" ")[1] for line in lines if line.startswith(f"{name} ")]
    return value
