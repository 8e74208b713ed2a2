# SPDX-License-Identifier: Apache-2.0
"""The storefront with what stands behind it and before it: a real Redis, and wrk."""

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from harness import Example, example_binary, poll
from live_metrics import Metrics

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
        super().__init__(example_binary("storefront"), log, **environment)

    def metrics(self) -> Metrics:
        """What the agent shows now."""
        return Metrics(self.agent)

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
        """A request; the status and, where there is one, the JSON."""
        request = urllib.request.Request(self.service + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}

    def quiet(self) -> Metrics:
        """The metrics once nothing is on its way."""

        def attempt() -> Metrics | None:
            metrics = self.metrics()
            busy = ("http_server_active_requests", "work_queue_depth", "work_queue_active")
            return metrics if sum(map(metrics.sum, busy)) == 0 else None

        return poll("nothing is on its way", attempt, 20)


class Wrk:
    """wrk, in the background, for some seconds."""

    def __init__(self, url: str, script: str, place: Path, seconds: int, connections: int = 32) -> None:
        lua = place / f"{abs(hash(script))}.lua"
        lua.write_text(script)
        command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "-s", str(lua), url]
        self.seconds = seconds
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def wait(self) -> int:
        """Waits until it is done; how many requests it saw answered."""
        output, _ = self.popen.communicate(timeout=self.seconds + 30)
        found = re.search(r"(\d+) requests in", output)
        assert found, output
        return int(found[1])


def orders(first: int = 1, last: int = 2_000) -> str:
    """A script of wrk that asks for orders."""
    return ANY_ORDER.format(first=first, last=last)


def new_orders(customers: int) -> str:
    """A script of wrk that places orders for so many customers."""
    return NEW_ORDERS.format(customers=customers)


class Redis:
    """A redis-server on a port of its own, which can go and come back."""

    def __init__(self, place: Path) -> None:
        self.place = place
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, empty."""
        options = {"bind": "127.0.0.1", "port": self.port, "save": "", "dir": self.place}
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        poll("Redis listens", lambda: self.command("PING") == b"+PONG" or None)

    def stop(self) -> None:
        """Ends it at once, with everything that it had."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(10)

    def command(self, *words: str) -> bytes:
        """The first line of an answer; nothing if it is not there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                text = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
                connection.sendall(text.encode())
                return connection.makefile("rb").readline().strip()
        except OSError:
            return b""
