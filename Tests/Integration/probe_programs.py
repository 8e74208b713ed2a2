# SPDX-License-Identifier: Apache-2.0
"""Processes of Tests/Probe and Tests/HeapProbe: the library driven through a pipe, and agents for
single purposes."""

import base64
import contextlib
import json
import re
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from exposition import Exposition
from harness import Lines, clean_environment, fetch, heap_probe_binary, probe_binary
from newer_libraries import SYSTEM, Libraries

Own = TypeVar("Own", bound="ProbeProcess")
USUAL = Libraries(SYSTEM)


class ProbeProcess:
    """The probe as a process, which ends when its standard input closes. Its log may go to a
    file."""

    def __init__(
        self, *arguments: str, log: Path | None = None, libraries: Libraries = USUAL, **environment: str
    ) -> None:
        program, *first = self.program()
        environment = libraries.environment | environment
        with log.open("wb") if log else contextlib.nullcontext() as sink:
            self.popen = subprocess.Popen(
                [libraries.program(program), *first, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env=clean_environment(**environment),
            )
        self.lines = Lines(self.popen.stdout)

    @staticmethod
    def program() -> list[str]:
        """The program to run."""
        return [probe_binary()]

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def send_line(self, line: str) -> None:
        """Writes a line to the probe's standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode("ascii") + b"\n")
        self.popen.stdin.flush()

    def status(self, field: str) -> int:
        """A number of /proc/PID/status; sizes in bytes."""
        line = re.findall(rf"(?m)^{field}:\s+(\d+)( kB)?$", Path(f"/proc/{self.popen.pid}/status").read_text())
        number, unit = line[0]
        return int(number) * (1024 if unit else 1)

    def stop(self) -> None:
        """Ends the probe by closing its standard input, and with SIGKILL if it does not end."""
        try:
            self.popen.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.communicate(timeout=60)


class ProbeAgent(ProbeProcess):
    """A probe with an agent, which first prints the agent's URL."""

    def __init__(
        self, mode: str, *, log: Path | None = None, libraries: Libraries = USUAL, **environment: str
    ) -> None:
        super().__init__(mode, log=log, libraries=libraries, **environment)
        try:
            self.url = self.lines.read(seconds=60).decode("ascii").strip()
        except BaseException:
            self.stop()
            raise


class IdleAgent(ProbeAgent):
    """A process that only runs an agent."""

    def __init__(self, **environment: str) -> None:
        super().__init__("idle", **environment)


class BareService(ProbeAgent):
    """The same process without an agent."""

    def __init__(self) -> None:
        super().__init__("bare")


PATIENCE = {"PROBE_HEADER_SECONDS": "600", "PROBE_IDLE_SECONDS": "600"}
"""Deadlines that no client of a test reaches, however busy the machine is."""


class ServingProbe(ProbeAgent):
    """An agent with metrics of every kind, some with exemplars.

    Its registry holds the counter `probe_requests_total{route}`, the histogram
    `probe_duration_seconds`, `probe_info`, and the gauge `probe_filler{n}` with `filler` series.
    Its deadlines for clients are long unless the environment sets them.
    """

    def __init__(
        self, filler: int = 0, *, log: Path | None = None, libraries: Libraries = USUAL, **environment: str
    ) -> None:
        if filler:
            environment["PROBE_SERIES"] = str(filler)
        super().__init__("serve", log=log, libraries=libraries, **PATIENCE | environment)
        self.debug_url = self.lines.read(seconds=60).decode("utf-8").strip()
        """The URL of its debug listener; empty if it has none."""

    @property
    def target(self) -> str:
        """Host and port of the agent, as a Prometheus target."""
        return self.url.removeprefix("http://")

    def record(self) -> None:
        """Makes it record another observation, with a new exemplar."""
        self.send_line("record")
        response = self.lines.read(seconds=60)
        assert response == b"ok\n", response


class HeapProbe(ProbeProcess):
    """An agent with a heap profiler, which allocates and holds memory on command."""

    LIMIT = 900.0
    """Timeout of a command or a profile, in seconds."""

    @staticmethod
    def program() -> list[str]:
        return [heap_probe_binary(), "serve"]

    def __init__(self, log: Path | None = None, libraries: Libraries = USUAL, **environment: str) -> None:
        super().__init__(log=log, libraries=libraries, **environment)
        self.url = self.lines.read().decode().strip()

    def command(self, command: str) -> None:
        """Sends a command, and waits until it has completed."""
        self.send_line(command)
        assert self.lines.read(self.LIMIT) == b"done\n"

    def save(self, path: str, folder: Path) -> str:
        """Downloads a profile to a file, and returns its path."""
        file = folder / re.sub(r"\W", "-", path)
        file.write_bytes(fetch(f"{self.url}/debug/pprof/{path}", timeout=self.LIMIT))
        return str(file)

    def value(self, name: str, **labels: str) -> float:
        """The value of a sample of /metrics."""
        wanted = name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        text = fetch(f"{self.url}/metrics", timeout=60).decode()
        return float(next(line for line in text.splitlines() if line.startswith(wanted + " ")).split()[-1])


class Probe(ProbeProcess):
    """The library driven through a pipe: metrics in, the bytes of a scrape out."""

    def respond(
        self,
        *families: dict[str, Any],
        reports_itself: bool = False,
        accept: str | None = None,
        accept_encoding: str | None = None,
        creation_times: bool = False,
        utf8_names: bool = False,
    ) -> Exposition:
        """The response to a scrape of a registry with these families."""
        request: dict[str, Any] = {"families": families, "hasOwnMetrics": reports_itself}
        if accept is not None:
            request["accept"] = accept
        if accept_encoding is not None:
            request["acceptEncoding"] = accept_encoding
        if creation_times:
            request["creationTimes"] = True
        if utf8_names:
            request["hasUTF8Names"] = True
        self.send_line(json.dumps(request))
        response = json.loads(self.lines.read(seconds=60))
        assert "error" not in response, response["error"]
        headers = response.get("headers", {}).items()
        return Exposition(base64.b64decode(response["exposition"]), list(headers))

    def expose(
        self, *families: dict[str, Any], reports_itself: bool = False, accept: str | None = None
    ) -> bytes:
        """The exposition of a registry with these families."""
        return self.respond(*families, reports_itself=reports_itself, accept=accept).body


def bits(number: float) -> str:
    """A number in the probe's input format."""
    return struct.pack(">d", number).hex()


def family(
    kind: str,
    name: str,
    series: Iterable[tuple[list[str], list[float]]],
    labels: Iterable[str] = (),
    help_text: str = "A metric of a test.",
    buckets: list[float] | None = None,
    exemplars: Sequence[Mapping[str, str] | None] = (),
) -> dict[str, Any]:
    """A metric family in the probe's input format; each series is its label values and its numbers.

    Exemplars are given per series, in order; the exemplar goes with each number of its series.
    """
    request: dict[str, Any] = {"kind": kind, "name": name, "help": help_text}
    request["labels"] = list(labels)
    request["series"] = [{"values": v, "numbers": [bits(n) for n in ns]} for v, ns in series]
    for one, exemplar in zip_longest(request["series"], exemplars):
        if exemplar is not None:
            one["exemplar"] = dict(exemplar)
    if buckets is not None:
        request["buckets"] = [bits(bound) for bound in buckets]
    return request
