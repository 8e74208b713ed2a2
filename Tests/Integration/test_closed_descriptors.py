# SPDX-License-Identifier: Apache-2.0
"""A service closes descriptors that it does not own; descriptors that it opens afterwards stay its
own."""

from pathlib import Path

import pytest

from harness import poll
from raw import SECONDS, Client, get
from serving import Serving, scrape

pytestmark = pytest.mark.wait

ALL = "32 of 32"
LOST = "outrider_descriptors_lost_total"


def lost(server: Serving) -> int:
    """Descriptors of the endpoint that were found to belong to other code."""
    line = next(line for line in scrape(server.url).splitlines() if line.startswith(f"{LOST} "))
    return int(line.split()[1])


def test_closing_low_descriptor_numbers_leaves_the_endpoint_and_the_service_sockets_intact(
    tmp_path: Path,
) -> None:
    with Serving(tmp_path / "log") as server, Client(server.url) as client:
        assert client.exchange(get()).status == 200
        assert server.command("close-descriptors 3 63") == "closed"
        # The endpoint's descriptors have higher numbers, and serve existing and new clients.
        assert client.exchange(get()).status == 200
        assert lost(server) == 0
        client.close()
        server.rest()
        assert server.command("intact") == ALL
        server.stop_agent()
        assert server.command("intact") == ALL


@pytest.mark.parametrize("kept", [True, False], ids=["with a client", "without"])
def test_closing_every_descriptor_leaves_the_service_sockets_intact_and_reopens_the_endpoint(
    tmp_path: Path, kept: bool
) -> None:
    with Serving(tmp_path / "log", f"unix:{tmp_path}/agent.sock") as server, Client(server.url) as client:
        if kept:
            assert client.exchange(get()).status == 200
        else:
            client.close()
            server.rest()
        assert server.command("close-descriptors 3 19999") == "closed"
        client.close()

        def is_back() -> bool | None:
            return lost(server) > 0 or None

        poll("it listens again", is_back, SECONDS)
        assert server.command("intact") == ALL
        server.stop_agent()
        assert server.command("intact") == ALL
