# SPDX-License-Identifier: Apache-2.0
"""A web server for a test, on a free port of 127.0.0.1, for the duration of a `with` block."""

import http.server
import threading
from typing import TypeVar

Own = TypeVar("Own", bound="LocalServer")


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """A request handler that does not log."""

    def log_message(self, *_: object) -> None:
        """Suppresses the log."""


class LocalServer:
    """Serves a handler in the background."""

    def __init__(self, handler: type[QuietHandler]) -> None:
        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Suppresses errors of clients that disconnect, as Prometheus does when it
                stops."""

        self._server = Server(("127.0.0.1", 0), handler)
        self.target = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)
