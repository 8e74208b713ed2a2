# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of an agent that keeps what a scraper asked for and what it was answered."""

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from exposition import Exposition
from local_server import LocalServer, QuietHandler

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    """A request's header fields and the answer to it."""

    accept: str | None
    accept_encoding: str | None
    answer: Exposition


class RecordingProxy(LocalServer):
    """Passes each GET on to an agent, and remembers the last exchange and how many there were.

    The fields in `instead` take the place of those that the scraper sent, for scrapers that cannot
    be told what to ask for.
    """

    def __init__(self, target: str, instead: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._last: Exchange | None = None
        self._statuses: list[int] = []
        replaced = dict(instead or {})
        proxy = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"
            timeout = 300

            def do_GET(self) -> None:
                for name, value in replaced.items():
                    del self.headers[name]
                    self.headers[name] = value
                answer = forward(target, self.path, self.headers.items())
                asked = self.headers
                proxy._keep(Exchange(asked["Accept"], asked["Accept-Encoding"], answer))
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        super().__init__(Handler)

    def _keep(self, exchange: Exchange) -> None:
        with self._lock:
            self._last = exchange
            self._statuses.append(exchange.answer.status)

    @property
    def last(self) -> Exchange | None:
        """The last exchange; None before the first."""
        with self._lock:
            return self._last

    @property
    def statuses(self) -> list[int]:
        """The status of every answer so far."""
        with self._lock:
            return list(self._statuses)


def forward(target: str, path: str, fields: list[tuple[str, str]]) -> Exposition:
    """What the agent answers to the same request on a connection of its own."""
    connection = http.client.HTTPConnection(target, timeout=60)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in fields:
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return Exposition(response.read(), response.getheaders(), response.status)
    finally:
        connection.close()
