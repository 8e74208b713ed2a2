# SPDX-License-Identifier: Apache-2.0
"""The storefront with a real Redis behind it and wrk in front of it."""

import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness import Example, fetch, poll, release_binary
from live_metrics import Metrics
from ports import reserved_port

LIMIT = 120
"""Timeout of every wait in seconds, on any machine."""

ANY_ORDER = """
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
function init() math.randomseed(id) end
function request() return wrk.format("GET", "/orders/" .. math.random({first}, {last})) end
"""
NEW_ORDERS = """
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
function init() math.randomseed(id) end
function request()
  return wrk.format("POST", "/orders?item=book&customer=c" .. math.random(1, {customers}))
end
"""


class Storefront(Example):
    """The flash-sale service."""

    def __init__(self, log: Path, **environment: str) -> None:
        super().__init__(release_binary("storefront"), log, **environment)

    def metrics(self) -> Metrics:
        """The current metrics of the agent."""
        return Metrics(self.agent)

    def request(self, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
        """Sends a request; returns the status and, if there is one, the JSON."""
        request = urllib.request.Request(self.service + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code, {}

    def in_time(self, path: str, method: str = "GET", late: tuple[int, ...] = (504,)) -> tuple[int, dict[str, object]]:
        """The response to a request that met the service's deadline of 50 ms, for which a busy
        machine may be too slow.

        Repeats the request while the status is one of `late`. The service also responds with 503 if
        Redis is too slow.
        """

        def attempt() -> tuple[int, dict[str, object]] | None:
            response = self.request(path, method)
            return None if response[0] in late else response

        return poll(f"{method} {path} completes in time", attempt, LIMIT)

    def settled(self, check: Callable[[Metrics], None] = lambda _: None) -> Metrics:
        """The metrics once no request is in flight and they pass a check.

        A request may be counted a moment after its response.
        """
        problem = ""

        def attempt() -> Metrics | None:
            nonlocal problem
            metrics = self.metrics()
            busy = {name: metrics.sum(name) for name in ("http_server_active_requests", "work_queue_depth", "work_queue_active")}
            try:
                assert not any(busy.values()), busy
                check(metrics)
            except AssertionError as error:
                problem = str(error)
                return None
            return metrics

        try:
            return poll("no request is in flight, and the totals are consistent", attempt, LIMIT)
        except AssertionError as error:
            raise AssertionError(f"{error}: {problem}") from None


class Wrk:
    """wrk, running in the background until stopped."""

    def __init__(self, url: str, script: str, folder: Path, connections: int = 32) -> None:
        lua = folder / f"{abs(hash(script))}.lua"
        lua.write_text(script)
        # A time limit, in case a test ends without stopping it.
        command = ["wrk", "-t2", f"-c{connections}", f"-d{4 * LIMIT}s", "--timeout", f"{LIMIT}s", "-s", str(lua), url]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self) -> "Wrk":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.communicate()

    def stop(self) -> int:
        """Stops it, and returns the number of requests completed."""
        self.popen.send_signal(signal.SIGINT)
        output, _ = self.popen.communicate(timeout=LIMIT)
        found = re.search(r"(\d+) requests in", output)
        assert found, output
        return int(found[1])


def orders(first: int = 1, last: int = 2_000) -> str:
    """A wrk script that requests orders."""
    return ANY_ORDER.format(first=first, last=last)


def new_orders(customers: int) -> str:
    """A wrk script that places orders for this many customers."""
    return NEW_ORDERS.format(customers=customers)


class Customers:
    """Customers behind a load balancer: each sends requests over one connection, while `/readyz`
    responds with 200."""

    def __init__(self, service: str, count: int) -> None:
        self._address = urllib.parse.urlsplit(service).netloc
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self.placed: list[int] = []
        self.lost: list[str] = []
        self.answered = 0
        balancer = threading.Thread(target=self._watch)
        self._threads = [balancer] + [
            threading.Thread(target=self._buy, args=(number,)) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self) -> None:
        while not self._closed.is_set():
            try:
                fetch(f"http://{self._address}/readyz")
            except Exception:
                self._closed.set()
            self._closed.wait(0.02)

    def _buy(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=LIMIT)
        turn = 0
        while not self._closed.is_set():
            turn += 1
            order = ("POST", f"/orders?customer=b{number}") if turn % 4 == 0 else ("GET", f"/orders/{turn}")
            try:
                connection.request(*order)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost.append(f"{order}: {error!r}")
                return
            with self._lock:
                self.answered += 1
                if response.status == 201:
                    self.placed.append(int(body.split(b'"id":')[1].split(b",")[0].strip(b"}")))
        connection.close()

    def wait(self) -> None:
        """Waits until all have finished."""
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()


def is_ready(agent: str) -> bool:
    """Whether the agent reports the service as ready."""
    try:
        fetch(f"{agent}/readyz")
        return True
    except Exception:
        return False


class Redis:
    """A redis-server on its own port, which can be stopped and restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = reserved_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it without data."""
        # Publishes a notification for each expired key.
        options = {"notify-keyspace-events": "Ex", "bind": "127.0.0.1", "port": self.port, "save": "", "dir": self.folder}
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        poll("Redis listens", lambda: self.command("PING") == b"+PONG" or None, LIMIT)

    def stop(self) -> None:
        """Kills it, with all of its data."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(LIMIT)

    def command(self, *words: str) -> bytes:
        """The first line of a reply; empty if Redis is down."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as connection:
                text = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
                connection.sendall(text.encode())
                return connection.makefile("rb").readline().strip()
        except OSError:
            return b""


class ExpiredKeys:
    """The expired keys of a Redis."""

    def __init__(self, redis: Redis) -> None:
        self._connection = socket.create_connection(("127.0.0.1", redis.port), timeout=LIMIT)
        self._lines = self._connection.makefile("rb")
        self._connection.sendall(b"SUBSCRIBE __keyevent@0__:expired\r\n")
        self._names: list[str] = []
        self._read_to(b":1")

    def __enter__(self) -> "ExpiredKeys":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._connection.close()

    def names(self, prefix: str) -> list[str]:
        """The names with this prefix."""
        # Redis replies after all notifications published before.
        self._connection.sendall(b"PING\r\n")
        self._read_to(b"pong")
        return [name for name in self._names if name.startswith(prefix)]

    def _read_to(self, last: bytes) -> None:
        while (line := self._lines.readline()).strip() != last:
            assert line, "Redis has closed the connection"
            self._names.append(line.decode().strip())
