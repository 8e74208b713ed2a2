# SPDX-License-Identifier: Apache-2.0
"""Processes of the tests: how they are found, started, asked and stopped.

Everything listens on 127.0.0.1 only. Nothing here waits for time to pass: it waits for a fact, and
gives up with a sentence when a deadline has passed. A process is ended by its own identifier.
"""

import functools
import http.client
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

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
            problem = None
        except (OSError, http.client.HTTPException) as error:
            # Nobody listens yet, or the answer was cut off: both may be better in a moment.
            problem = error
        if time.monotonic() > deadline:
            reason = f": {problem}" if problem else ""
            raise AssertionError(f"not within {seconds:g} s: {fact}{reason}")
        time.sleep(0.05)


def fetch(url: str, timeout: float = 10) -> bytes:
    """The body of a GET request that is answered with 200."""
    with urllib.request.urlopen(url, timeout=timeout) as response:
        body: bytes = response.read()
    return body


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def system_binary(name: str) -> str:
    """A program on PATH."""
    for folder in os.get_exec_path():
        if os.access(path := Path(folder) / name, os.X_OK):
            return str(path)
    pytest.fail(f"{name} is not on PATH; `make setup` installs it", pytrace=False)


def promtool_findings(exposition: bytes) -> str:
    """What promtool has to say about an exposition in the text format; nothing if it is good."""
    promtool = [system_binary("promtool"), "check", "metrics"]
    checked = subprocess.run(promtool, input=exposition, capture_output=True, timeout=30)
    said = (checked.stdout + checked.stderr).decode("utf-8", errors="replace")
    return said or ("" if checked.returncode == 0 else f"status {checked.returncode}")


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
    flags = [
        "-c", "release", "--package-path", "examples/quickstart", "--scratch-path", ".build/examples-small",
    ]
    return built_binary("quickstart", "OUTRIDER_QUICKSTART", *flags)


def memory_lab_binary() -> str:
    """The memory lab, as its readers build it."""
    flags = [
        "-c", "release", "--package-path", "examples/memory-lab", "--scratch-path", ".build/examples-small",
    ]
    return built_binary("memory-lab", "OUTRIDER_MEMORY_LAB", *flags)


def example_binary(name: str) -> str:
    """One of the examples that need a framework."""
    flags = [
        "-c", "release", "--package-path", "examples", "--scratch-path", ".build/examples-large",
    ]
    return built_binary(name, f"OUTRIDER_{name.upper()}", *flags)


def host_binary(name: str) -> str:
    """The same program with Outrider in it (`linked`) and without (`bare`), with a Swift linked statically."""
    flags = ["-c", "release", "--package-path", "Tests/Hosts", "--scratch-path", ".build/hosts", "--static-swift-stdlib"]
    return built_binary(name, f"OUTRIDER_HOST_{name.upper()}", *flags)


def probe_binary() -> str:
    """The library behind a pipe, as the Swift tests build it."""
    return built_binary("outrider-probe", "OUTRIDER_PROBE")


def heap_probe_binary() -> str:
    """The program with the malloc hooks linked in, as the Swift tests build it."""
    return built_binary("outrider-heap-probe", "OUTRIDER_HEAP_PROBE")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without anything that an agent, the quickstart or the probe listens to."""
    ours = ("OUTRIDER_", "OTEL_", "QUICKSTART_", "STOREFRONT_", "CHAT_", "REDIS_URL", "PROBE_", "KUBERNETES_", "SECONDS_TO_RUN")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | more


class Lines:
    """What a program writes into a pipe, a line at a time, each with a deadline."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None, "the program was started without this pipe"
        self._descriptor = pipe.fileno()
        self._pending = b""

    def read(self, seconds: float = 30) -> bytes:
        """The next line, with its line feed."""
        deadline = time.monotonic() + seconds
        parts = [self._pending]
        while b"\n" not in parts[-1]:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._descriptor], [], [], left)
            assert ready, f"no whole line within {seconds:g} s"
            parts.append(os.read(self._descriptor, 1 << 20))
            assert parts[-1], f"the program ended within a line: {b''.join(parts)!r}"
        line, feed, self._pending = b"".join(parts).partition(b"\n")
        return line + feed


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


class Example(Process):
    """An example that says where its service and its agent are, on ports that were free."""

    def __init__(self, binary: str | list[str], log: Path, agent: str = "127.0.0.1:0", **environment: str) -> None:
        ports = {"QUICKSTART_PORT": "0", "STOREFRONT_PORT": "0", "CHAT_PORT": "0"}
        super().__init__([binary] if isinstance(binary, str) else binary, log, OUTRIDER_ADDRESS=agent, **ports | environment)
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


class Quickstart(Example):
    """The example service, with traffic of its own."""

    def __init__(self, log: Path, agent: str = "127.0.0.1:0", **environment: str) -> None:
        super().__init__(quickstart_binary(), log, agent, **environment)
