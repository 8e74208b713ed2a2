# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of an agent that records a scraper's requests and the responses."""

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from exposition import Exposition
from local_server import LocalServer, QuietHandler

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Exchange:
    """A request's header fields and its response."""

    accept: str | None
    accept_encoding: str | None
    response: Exposition


class RecordingProxy(LocalServer):
    """Forwards each GET to an agent, and keeps the last exchange and every status.

    The fields in `instead` replace the scraper's own, for scrapers that cannot be configured.
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
                response = forward(target, self.path, self.headers.items())
                asked = self.headers
                proxy._keep(Exchange(asked["Accept"], asked["Accept-Encoding"], response))
                self.send_response_only(response.status)
                for name, value in response.headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)

        super().__init__(Handler)

    def _keep(self, exchange: Exchange) -> None:
        with self._lock:
            self._last = exchange
            self._statuses.append(exchange.response.status)

    @property
    def last(self) -> Exchange | None:
        """The last exchange; None before the first."""
        with self._lock:
            return self._last

    @property
    def statuses(self) -> list[int]:
        """The status of every response so far."""
        with self._lock:
            return list(self._statuses)


def forward(target: str, path: str, fields: list[tuple[str, str]]) -> Exposition:
    """The agent's response to the same request, on its own connection."""
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
