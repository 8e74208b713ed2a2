# SPDX-License-Identifier: Apache-2.0
"""A service closes descriptors that it does not know: whatever it opens afterwards is its own."""

from pathlib import Path

import pytest

from harness import poll
from raw import SECONDS, Client, get
from serving import Serving, scrape

pytestmark = pytest.mark.wait

ALL = "32 of 32"
LOST = "outrider_descriptors_lost_total"


def lost(server: Serving) -> int:
    """Descriptors of the endpoint's that it has found to be somebody else's."""
    line = next(line for line in scrape(server.url).splitlines() if line.startswith(f"{LOST} "))
    return int(line.split()[1])


def test_a_service_that_closes_the_usual_numbers_keeps_its_endpoint_and_its_sockets(
    tmp_path: Path,
) -> None:
    with Serving(tmp_path / "log") as server, Client(server.url) as client:
        assert client.ask(get()).status == 200
        assert server.tell("close-descriptors 3 63") == "closed"
        # The endpoint's have other numbers, and serve old clients and new ones.
        assert client.ask(get()).status == 200
        assert lost(server) == 0
        client.close()
        server.rest()
        assert server.tell("intact") == ALL
        server.stop_agent()
        assert server.tell("intact") == ALL


@pytest.mark.parametrize("kept", [True, False], ids=["with a client", "without"])
def test_a_service_that_closes_everything_keeps_its_sockets_and_gets_an_endpoint_again(
    tmp_path: Path, kept: bool
) -> None:
    with Serving(tmp_path / "log", f"unix:{tmp_path}/agent.sock") as server, Client(server.url) as client:
        if kept:
            assert client.ask(get()).status == 200
        else:
            client.close()
            server.rest()
        assert server.tell("close-descriptors 3 19999") == "closed"
        client.close()

        def is_back() -> bool | None:
            return lost(server) > 0 or None

        poll("it listens again", is_back, SECONDS)
        assert server.tell("intact") == ALL
        server.stop_agent()
        assert server.tell("intact") == ALL
