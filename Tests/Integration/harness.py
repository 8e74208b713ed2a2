# SPDX-License-Identifier: Apache-2.0
"""Processes of the tests: find, start, query and stop them.

Everything listens on 127.0.0.1 only. Tests wait for a condition, not for time to pass, and fail
with a message at the deadline. A process is ended by its own process ID.
"""

import http.client
import os
import re
import select
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, ClassVar, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]

LIMIT = 90.0
"""Seconds after which a condition counts as failed, however busy the machine is."""

Value = TypeVar("Value")
Own = TypeVar("Own", bound="Process")


def poll(fact: str, attempt: Callable[[], Value | None], seconds: float = LIMIT) -> Value:
    """Repeats an attempt until it returns something other than None, and returns that."""
    deadline = time.monotonic() + seconds
    problem: Exception | None = None
    while True:
        try:
            value = attempt()
            if value is not None:
                return value
            problem = None
        except (OSError, http.client.HTTPException) as error:
            # The server does not listen yet, or the response was cut: retry.
            problem = error
        if time.monotonic() > deadline:
            reason = f": {problem}" if problem else ""
            raise AssertionError(f"not within {seconds:g} s: {fact}{reason}")
        time.sleep(0.05)


def fetch(url: str, timeout: float = LIMIT) -> bytes:
    """The body of a GET request with status 200."""
    with urllib.request.urlopen(url, timeout=timeout) as response:
        body: bytes = response.read()
    return body


def system_binary(name: str) -> str:
    """A program on PATH or in /usr/sbin, where Debian installs servers and which only root has on
    PATH."""
    for folder in [*os.get_exec_path(), "/usr/sbin"]:
        if os.access(path := Path(folder) / name, os.X_OK):
            return str(path)
    pytest.fail(f"{name} is not on PATH; `make setup` installs it", pytrace=False)


def promtool_findings(exposition: bytes) -> str:
    """The findings of promtool in an exposition in the text format; empty if there are none."""
    promtool = [system_binary("promtool"), "check", "metrics"]
    checked = subprocess.run(promtool, input=exposition, capture_output=True, timeout=LIMIT)
    findings = (checked.stdout + checked.stderr).decode("utf-8", errors="replace")
    return findings or ("" if checked.returncode == 0 else f"status {checked.returncode}")


def built_binary(product: str, tree: str, stage: str) -> str:
    """A program built by a stage of scripts/test.sh."""
    path = ROOT / ".build" / tree / product
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not built: run `scripts/test.sh {stage}`", pytrace=False)
    return str(path)


def release_binary(name: str) -> str:
    """A program of Tests/Programs: an example, or the same host with Outrider (`linked`) or without
    (`bare`)."""
    return built_binary(name, "programs/release", "programs")


def probe_binary() -> str:
    """The library driven through a pipe, as built for the Swift tests."""
    return built_binary("outrider-probe", "all-traits/debug", "build")


def heap_probe_binary() -> str:
    """The program with the malloc hooks linked in, as built for the Swift tests."""
    return built_binary("outrider-heap-probe", "all-traits/debug", "build")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without the variables that an agent, the quickstart or the probe reads.

    Agents serve /debug on their main address here: no proxy forwards requests to them, and one URL
    is simpler for a test of something else. `OUTRIDER_DEBUG_ADDRESS=""` restores the default.
    """
    ours = ("OUTRIDER_", "OTEL_", "QUICKSTART_", "STOREFRONT_", "CHAT_", "REDIS_URL", "PROBE_", "KUBERNETES_", "SECONDS_TO_RUN")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return kept | {"OUTRIDER_DEBUG_ADDRESS": "shared"} | more


class Lines:
    """Lines that a program writes to a pipe, each read with a deadline."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None, "the program was started without this pipe"
        self._descriptor = pipe.fileno()
        self._pending = b""

    def read(self, seconds: float = LIMIT) -> bytes:
        """The next line, including its line feed."""
        deadline = time.monotonic() + seconds
        parts = [self._pending]
        while b"\n" not in parts[-1]:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._descriptor], [], [], left)
            assert ready, f"no complete line within {seconds:g} s"
            parts.append(os.read(self._descriptor, 1 << 20))
            assert parts[-1], f"the program ended within a line: {b''.join(parts)!r}"
        line, feed, self._pending = b"".join(parts).partition(b"\n")
        return line + feed


class Process:
    """A running program whose output goes to a file."""

    _alive: ClassVar["set[Process]"] = set()

    @classmethod
    def logs_alive(cls) -> list[Path]:
        """The logs of the running programs."""
        return [process.log for process in cls._alive]

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
        self._alive.add(self)

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def output(self) -> str:
        """The output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def find(self, pattern: str, seconds: float = LIMIT) -> str:
        """Waits until the output matches a pattern, and returns its first group."""

        def attempt() -> str | None:
            if found := re.search(pattern, self.output):
                return found[1]
            assert self.popen.poll() is None, f"it ended early and printed:\n{self.output}"
            return None

        return poll(f"the output matches {pattern!r}", attempt, seconds)

    def wait(self, seconds: float) -> int:
        """The exit status; negative if a signal ended the program."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s:\n{self.output}") from None

    def stop(self) -> None:
        """Ends the program with SIGTERM, and with SIGKILL if it does not end in time."""
        self._alive.discard(self)
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(LIMIT)


class Example(Process):
    """An example that prints the addresses of its service and its agent, on free ports."""

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
        """Host and port of the agent, as a Prometheus target."""
        return urllib.parse.urlsplit(self.agent).netloc

    def metrics(self) -> str:
        """The current exposition."""
        return fetch(f"{self.agent}/metrics").decode("utf-8")


class Quickstart(Example):
    """The quickstart, which generates its own traffic."""

    def __init__(self, log: Path, agent: str = "127.0.0.1:0", **environment: str) -> None:
        super().__init__(release_binary("quickstart"), log, agent, **environment)
