# SPDX-License-Identifier: Apache-2.0
"""Processes of the tests: how they are found, started, asked and stopped.

Everything listens on 127.0.0.1 only. Nothing here waits for time to pass: it waits for a fact, and
gives up with a sentence when a deadline has passed. A process is ended by its own identifier.
"""

import base64
import functools
import http.client
import http.server
import json
import os
import re
import selectors
import shlex
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]

Value = TypeVar("Value")
Own = TypeVar("Own", bound="Process")


def poll(fact: str, attempt: Callable[[], Value | None], seconds: float = 20) -> Value:
    """Repeats an attempt until it yields something other than None, and returns that."""
    deadline = time.monotonic() + seconds
    problem: Exception | None = None
    while True:
        try:
            value = attempt()
            if value is not None:
                return value
        except (OSError, http.client.HTTPException) as error:
            # Nobody listens yet, or the answer was cut off: both may be better in a moment.
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {fact}. Last problem: {problem}")
        time.sleep(0.05)


def fetch(url: str, timeout: float = 10) -> bytes:
    """The body of a GET request that is answered with 200."""
    with urllib.request.urlopen(url, timeout=timeout) as response:
        return response.read()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def system_binary(name: str) -> str:
    """A program on PATH."""
    for folder in os.get_exec_path():
        if os.access(path := Path(folder) / name, os.X_OK):
            return str(path)
    pytest.fail(f"{name} is not on PATH; `make setup` installs it", pytrace=False)


@functools.cache
def built_binary(product: str, variable: str, *flags: str) -> str:
    """A product of SwiftPM: where an environment variable says, or where the build puts it."""
    if given := os.environ.get(variable):
        path = Path(given).resolve()
    else:
        build = ["swift", "build", *shlex.split(os.environ.get("SWIFT_BUILD_FLAGS", "")), *flags]
        shown = subprocess.run(
            [*build, "--show-bin-path"], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        if shown.returncode != 0:
            pytest.fail(f"`swift build --show-bin-path` fails: {shown.stderr}", pytrace=False)
        path = Path(shown.stdout.strip()) / product
    if not os.access(path, os.X_OK):
        command = shlex.join(["swift", "build", *flags, "--product", product])
        pytest.fail(f"{product} is not built: run `{command}`, or set {variable}", pytrace=False)
    return str(path)


def quickstart_binary() -> str:
    """The example service, as its readers build it."""
    return built_binary(
        "quickstart", "OUTRIDER_QUICKSTART", "-c", "release", "--package-path", "examples/quickstart"
    )


def probe_binary() -> str:
    """The library behind a pipe, as the Swift tests build it."""
    return built_binary("outrider-probe", "OUTRIDER_PROBE")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without anything that an agent or the quickstart would listen to."""
    ours = ("OUTRIDER_", "OTEL_", "QUICKSTART_", "SECONDS_TO_RUN")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | more


class Process:
    """A running program whose output goes to a file."""

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as sink:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=clean_environment(**environment),
            )

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def output(self) -> str:
        """What the program has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def find(self, pattern: str, seconds: float = 20) -> str:
        """The first group of a pattern, once the output has it."""

        def attempt() -> str | None:
            if found := re.search(pattern, self.output):
                return found[1]
            assert self.popen.poll() is None, f"it ended early and said:\n{self.output}"
            return None

        return poll(f"the output matches {pattern!r}", attempt, seconds)

    def wait(self, seconds: float) -> int:
        """The exit status, which is negative when a signal ended the program."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s:\n{self.output}") from None

    def stop(self) -> None:
        """Ends the program: politely first, and by force after ten seconds."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)


class Quickstart(Process):
    """The example service, with traffic of its own."""

    def __init__(self, log: Path, agent: str = "127.0.0.1:0", **environment: str) -> None:
        command = [quickstart_binary()]
        super().__init__(command, log, QUICKSTART_PORT="0", OUTRIDER_ADDRESS=agent, **environment)
        try:
            self.find(r"(Ctrl-C stops it)")
            self.service = self.find(r"(?m)^service +(http://\S+)$")
            self.agent = self.find(r"(?m)^agent +(.+)$")
        except BaseException:
            self.stop()
            raise

    @property
    def target(self) -> str:
        """Host and port of the agent, as Prometheus wants them."""
        return urllib.parse.urlsplit(self.agent).netloc

    def metrics(self) -> str:
        """The exposition of this moment."""
        return fetch(f"{self.agent}/metrics").decode("utf-8")


class Prometheus(Process):
    """A Prometheus server with a configuration and a database of its own."""

    INTERVAL = "500ms"

    def __init__(self, folder: Path, jobs: Mapping[str, str], scrapes_itself: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = f"127.0.0.1:{free_port()}"
        self.url = f"http://{own}"
        scrapes = [self._job(name, place) for name, place in jobs.items()]
        if scrapes_itself:
            scrapes.append(self._job("prometheus", f"{own}/metrics"))
        times = {"scrape_interval": self.INTERVAL, "scrape_timeout": self.INTERVAL}
        # JSON is YAML as well.
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": times, "scrape_configs": scrapes}))
        super().__init__(
            [
                system_binary("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={own}",
            ],
            folder / "prometheus.log",
        )

    @staticmethod
    def _job(name: str, place: str) -> dict[str, Any]:
        target, _, path = place.partition("/")
        return {
            "job_name": name,
            "metrics_path": f"/{path}",
            "static_configs": [{"targets": [target]}],
        }

    def api(self, path: str, **arguments: str) -> Any:
        """The data of an answer of the HTTP API; a refused query is an error of the test."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            return json.loads(fetch(url))["data"]
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise AssertionError(f"{arguments} is refused: {error.read().decode()}") from None
            raise

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        return self.api("query", query=expression)["result"]

    def await_samples(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query, once it has any."""
        return poll(f"{expression} has samples", lambda: self.query(expression) or None)

    def await_up(self, job: str) -> None:
        """Waits for a scrape of a job that succeeds; fails with the error of the last one."""
        last = "none was tried"

        def attempt() -> bool | None:
            nonlocal last
            for target in self.api("targets", state="active")["activeTargets"]:
                if target["labels"]["job"] == job:
                    last = f"{target['health']}, {target['lastError'] or 'no error'}"
                    return target["health"] == "up" or None
            return None

        try:
            poll(f"a scrape of {job} succeeds", attempt)
        except AssertionError as error:
            raise AssertionError(f"{error}; last scrape: {last}") from None


def bits(number: float) -> str:
    """A number as the probe reads it."""
    return struct.pack(">d", number).hex()


def family(
    kind: str,
    name: str,
    series: Iterable[tuple[list[str], list[float]]],
    labels: Iterable[str] = (),
    help_text: str = "A metric of a test.",
    buckets: list[float] | None = None,
) -> dict[str, Any]:
    """A metric family as the probe reads it; each series is its label values and its numbers."""
    request: dict[str, Any] = {"kind": kind, "name": name, "help": help_text}
    request["labels"] = list(labels)
    request["series"] = [{"values": v, "numbers": [bits(n) for n in ns]} for v, ns in series]
    if buckets is not None:
        request["buckets"] = [bits(bound) for bound in buckets]
    return request


class Probe:
    """The library behind a pipe: metrics in, the bytes of a scrape out."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen(
            [probe_binary()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(),
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe("stdout"), selectors.EVENT_READ)

    def _pipe(self, name: str) -> Any:
        return getattr(self.popen, name)

    def expose(self, *families: dict[str, Any], reports_itself: bool = False) -> bytes:
        """What a registry with these families exposes."""
        request = {"families": families, "reportsItself": reports_itself}
        self._pipe("stdin").write(json.dumps(request).encode("ascii") + b"\n")
        self._pipe("stdin").flush()
        answer = json.loads(self._read_line())
        assert "error" not in answer, answer["error"]
        return base64.b64decode(answer["exposition"])

    def _read_line(self, seconds: float = 30) -> bytes:
        line = bytearray()
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            assert ready, f"the probe does not answer within {seconds:g} s"
            part = os.read(self._pipe("stdout").fileno(), 1 << 20)
            assert part, f"the probe ended with status {self.popen.wait(10)}"
            line += part
        return bytes(line)

    def stop(self) -> None:
        """Ends the probe: with the end of its input, and by force after ten seconds."""
        self._selector.close()
        self._pipe("stdin").close()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(10)
        self._pipe("stdout").close()


class StaticPages:
    """A web server on a free port of 127.0.0.1 that serves expositions by their paths."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages[self.path]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keeps quiet."""

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Keeps quiet when a scraper hangs up, as Prometheus does when it stops."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> "StaticPages":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
