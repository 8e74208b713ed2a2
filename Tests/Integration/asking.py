# SPDX-License-Identifier: Apache-2.0
"""Requests that have exactly the header fields they are given."""

import http.client
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from exposition import Exposition

Fields = Iterable[tuple[str, str]]


class Asker:
    """A connection to an agent, kept from one request to the next."""

    def __init__(self, url: str, seconds: float = 60) -> None:
        self._connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(url).netloc, timeout=seconds
        )

    def ask(self, path: str = "/metrics", fields: Fields = (), method: str = "GET") -> Exposition:
        """The answer to a request with these header fields, `Host`, and no others."""
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in fields:
            self._connection.putheader(name, value)
        self._connection.endheaders()
        response = self._connection.getresponse()
        return Exposition(response.read(), response.getheaders(), response.status)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


@contextmanager
def asking(url: str) -> Iterator[Asker]:
    """A connection for as long as it is needed."""
    asker = Asker(url)
    try:
        yield asker
    finally:
        asker.close()


def ask(
    url: str, path: str = "/metrics", *, accept: str | None = None, encoding: str | None = None
) -> Exposition:
    """The answer to one GET; a field that is None is left out."""
    fields = [("Accept", accept), ("Accept-Encoding", encoding)]
    with asking(url) as asker:
        return asker.ask(path, [(name, value) for name, value in fields if value is not None])


def only(*names: str) -> str:
    """The path of a scrape of these families alone."""
    return "/metrics?" + urllib.parse.urlencode([("name[]", name) for name in names])
