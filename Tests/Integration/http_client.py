# SPDX-License-Identifier: Apache-2.0
"""HTTP requests with exactly the given header fields."""

import http.client
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from exposition import Exposition

Fields = Iterable[tuple[str, str]]


class HTTPClient:
    """A connection to an agent, kept between requests."""

    def __init__(self, url: str, seconds: float = 60) -> None:
        self._connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(url).netloc, timeout=seconds
        )

    def request(self, path: str = "/metrics", fields: Fields = (), method: str = "GET") -> Exposition:
        """Sends a request with `Host` and these header fields only, and returns the response."""
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in fields:
            self._connection.putheader(name, value)
        self._connection.endheaders()
        response = self._connection.getresponse()
        return Exposition(response.read(), response.getheaders(), response.status)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@contextmanager
def open_client(url: str) -> Iterator[HTTPClient]:
    """A connection that is closed at the end of the `with` block."""
    client = HTTPClient(url)
    try:
        yield client
    finally:
        client.close()


def send_get(
    url: str, path: str = "/metrics", *, accept: str | None = None, encoding: str | None = None
) -> Exposition:
    """Sends one GET and returns the response; a field that is None is left out."""
    fields = [("Accept", accept), ("Accept-Encoding", encoding)]
    with open_client(url) as client:
        return client.request(path, [(name, value) for name, value in fields if value is not None])


def only(*names: str) -> str:
    """The path of a scrape of these families only."""
    return "/metrics?" + urllib.parse.urlencode([("name[]", name) for name in names])
