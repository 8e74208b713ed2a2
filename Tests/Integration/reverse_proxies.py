# SPDX-License-Identifier: Apache-2.0
"""Reverse proxies on the agent's machine that forward every request to it, as in front of a
service's port."""

import contextlib
import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import Process, poll, system_binary
from local_server import LocalServer, QuietHandler
from ports import reserved_port
from raw import is_refused

NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{target};
            {more}
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend shop
    bind 127.0.0.1:{port}
    default_backend agent
backend agent
    {more}
    server agent {target}
"""


@contextlib.contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[str]:
    with Process(command, folder / "log") as process:

        def attempt() -> bool | None:
            assert process.popen.poll() is None, f"{command[0]} ended early and printed:\n{process.output}"
            return not is_refused(f"127.0.0.1:{port}") or None

        poll(f"{command[0]} listens", attempt)
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def nginx(target: str, folder: Path, more: str = "") -> Iterator[str]:
    """Debian's nginx with a bare `proxy_pass`, and further directives if given."""
    port = reserved_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, target=target, more=more))
    command = [system_binary("nginx"), "-e", str(folder / "error.log"), "-c", str(configuration)]
    with _running(command, folder, port) as address:
        yield address


@contextlib.contextmanager
def haproxy(target: str, folder: Path, more: str = "") -> Iterator[str]:
    """Debian's haproxy in HTTP mode."""
    port = reserved_port()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=port, target=target, more=more))
    command = [system_binary("haproxy"), "-db", "-f", str(configuration)]
    with _running(command, folder, port) as address:
        yield address


@contextlib.contextmanager
def python(target: str, changes: Callable[[dict[str, str]], dict[str, str]] = dict) -> Iterator[str]:
    """A minimal proxy in Python that adds no header field; `changes` maps the fields that it
    forwards."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            connection = http.client.HTTPConnection(target, timeout=60)
            connection.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in changes(dict(self.headers.items())).items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
            connection.close()
            self.send_response(response.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with LocalServer(Handler) as server:
        yield server.target
