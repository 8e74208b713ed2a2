# SPDX-License-Identifier: Apache-2.0
"""A vulnerability scanner: tens of thousands of unknown paths and a thousand unknown methods."""

import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import Quickstart, poll

pytestmark = pytest.mark.compute

PATHS = 50_000
METHODS = 1_000
BATCH = 250
"""Requests sent before their responses are read."""

FAMILY = "http_server_request_duration_seconds"
ROUTES = {"/", "/orders", "/orders/:id", "/report", "_UNMATCHED"}


Counts = dict[tuple[tuple[str, str], ...], float]
"""Requests by the labels of their series."""


def test_a_scanner_creates_no_series_and_each_of_its_requests_is_counted(tmp_path: Path) -> None:
    with Quickstart(tmp_path / "log") as service:
        address = urllib.parse.urlsplit(service.service)
        before = counts(service)
        with socket.create_connection((address.hostname, address.port), timeout=300) as connection:
            paths = [("GET", f"/scan/{number}/.env?x={number}") for number in range(PATHS)]
            assert send(connection, paths) == PATHS
            # This server responds to unknown methods before any handler runs.
            methods = [(f"SCAN{number}", "/wp-login.php") for number in range(METHODS)]
            assert send(connection, methods) == METHODS
        labels = {"http_route": "_UNMATCHED", "http_response_status_code": "404", "http_request_method": "GET"}
        wanted = total(before, **labels) + PATHS

        def all_counted() -> Counts | None:
            # A request is counted once its response is sent, which may be after its client has
            # received it.
            seen = counts(service)
            return seen if total(seen, **labels) >= wanted else None

        after = poll("each request is counted", all_counted)
        assert total(after, **labels) == wanted
        assert {dict(series)["http_request_method"] for series in after} <= {"GET", "POST"}
        # The example's own traffic continues, on known routes.
        assert {dict(series)["http_route"] for series in after} <= ROUTES
        new = set(after) - set(before)
        assert len([series for series in new if dict(series)["http_route"] == "_UNMATCHED"]) <= 2
        poll("only the example's own three customers are left", lambda: active(service) <= 3 or None)


def send(connection: socket.socket, requests: list[tuple[str, str]]) -> int:
    """Sends requests in batches, and counts the responses with 404."""
    answered = 0
    for start in range(0, len(requests), BATCH):
        batch = requests[start : start + BATCH]
        connection.sendall(
            b"".join(
                f"{method} {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode("ascii")
                for method, path in batch
            )
        )
        responses = b""
        while responses.count(b"HTTP/1.1 ") < len(batch) or not responses.endswith(b"\r\n\r\n"):
            received = connection.recv(1 << 16)
            assert received, f"the server closed the connection after {answered} responses"
            responses += received
        answered += responses.count(b"HTTP/1.1 404 ")
    return answered


def counts(service: Quickstart) -> Counts:
    """The request counts of each series of the durations."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for sample in samples(service, FAMILY)
        if sample.name == f"{FAMILY}_count"
    }


def active(service: Quickstart) -> float:
    """The number of requests in progress."""
    return sum(sample.value for sample in samples(service, "http_server_active_requests"))


def samples(service: Quickstart, name: str) -> Iterator:
    for family in text_string_to_metric_families(service.metrics()):
        if family.name == name:
            yield from family.samples


def total(series: Counts, **labels: str) -> float:
    """The sum over all series with these labels."""
    return sum(
        count for of, count in series.items() if labels.items() <= dict(of).items()
    )
