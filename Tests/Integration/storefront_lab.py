# SPDX-License-Identifier: Apache-2.0
"""The storefront with what stands behind it and before it: a real Redis, and wrk."""

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
"""Seconds within which whatever a test waits for has happened, on any machine."""

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
        """What the agent shows now."""
        return Metrics(self.agent)

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
        """A request; the status and, where there is one, the JSON."""
        request = urllib.request.Request(self.service + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code, {}

    def in_time(self, path: str, method: str = "GET", late: tuple[int, ...] = (504,)) -> tuple[int, dict[str, object]]:
        """The answer to a request that met the service's deadline of 50 ms, for which a busy machine may be too slow.

        It asks again as long as the answer is a status of those that tell of too little time. With a Redis that is too
        slow, the service answers 503 as well.
        """

        def attempt() -> tuple[int, dict[str, object]] | None:
            answer = self.ask(path, method)
            return None if answer[0] in late else answer

        return poll(f"{method} {path} is answered in time", attempt, LIMIT)

    def settled(self, check: Callable[[Metrics], None] = lambda _: None) -> Metrics:
        """The metrics once nothing is on its way and they pass a check.

        What counts a request may do so a moment after its answer.
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
            return poll("nothing is on its way, and everything adds up", attempt, LIMIT)
        except AssertionError as error:
            raise AssertionError(f"{error}: {problem}") from None


class Wrk:
    """wrk, in the background, until it is stopped."""

    def __init__(self, url: str, script: str, place: Path, connections: int = 32) -> None:
        lua = place / f"{abs(hash(script))}.lua"
        lua.write_text(script)
        # It ends by itself only where a test has ended without it.
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
        """Stops it; how many requests it saw answered."""
        self.popen.send_signal(signal.SIGINT)
        output, _ = self.popen.communicate(timeout=LIMIT)
        found = re.search(r"(\d+) requests in", output)
        assert found, output
        return int(found[1])


def orders(first: int = 1, last: int = 2_000) -> str:
    """A script of wrk that asks for orders."""
    return ANY_ORDER.format(first=first, last=last)


def new_orders(customers: int) -> str:
    """A script of wrk that places orders for so many customers."""
    return NEW_ORDERS.format(customers=customers)


class Customers:
    """Those behind a load balancer: they ask as long as `/readyz` says so, each over one connection."""

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
            ask = ("POST", f"/orders?customer=b{number}") if turn % 4 == 0 else ("GET", f"/orders/{turn}")
            try:
                connection.request(*ask)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost.append(f"{ask}: {error!r}")
                return
            with self._lock:
                self.answered += 1
                if answer.status == 201:
                    self.placed.append(int(body.split(b'"id":')[1].split(b",")[0].strip(b"}")))
        connection.close()

    def wait(self) -> None:
        """Until all are gone."""
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()


def is_ready(agent: str) -> bool:
    """Whether the agent says that the service takes requests."""
    try:
        fetch(f"{agent}/readyz")
        return True
    except Exception:
        return False


class Redis:
    """A redis-server on a port of its own, which can go and come back."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = reserved_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, empty."""
        # It tells of keys whose time is over.
        options = {"notify-keyspace-events": "Ex", "bind": "127.0.0.1", "port": self.port, "save": "", "dir": self.place}
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        poll("Redis listens", lambda: self.command("PING") == b"+PONG" or None, LIMIT)

    def stop(self) -> None:
        """Ends it at once, with everything that it had."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(LIMIT)

    def command(self, *words: str) -> bytes:
        """The first line of an answer; nothing if it is not there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as connection:
                text = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
                connection.sendall(text.encode())
                return connection.makefile("rb").readline().strip()
        except OSError:
            return b""


class ExpiredKeys:
    """The keys of a Redis that were dropped since their time was over."""

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
        """Those that begin so."""
        # Answered after everything that was told before.
        self._connection.sendall(b"PING\r\n")
        self._read_to(b"pong")
        return [name for name in self._names if name.startswith(prefix)]

    def _read_to(self, last: bytes) -> None:
        while (line := self._lines.readline()).strip() != last:
            assert line, "Redis has closed the connection"
            self._names.append(line.decode().strip())
