# SPDX-License-Identifier: Apache-2.0
"""The library behind a pipe, and an agent with nothing to do: what Tests/Probe offers."""

import base64
import json
import struct
import subprocess
from collections.abc import Iterable
from typing import Any

from harness import Lines, clean_environment, probe_binary


class ProbeProcess:
    """The probe, running; the end of its input ends it."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [probe_binary(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(**environment),
        )
        self.lines = Lines(self.popen.stdout)

    def stop(self) -> None:
        """Ends the probe: with the end of its input, and by force after ten seconds."""
        try:
            self.popen.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.communicate(timeout=10)


class IdleAgent(ProbeProcess):
    """A process that does nothing but have an agent."""

    def __init__(self, **environment: str) -> None:
        super().__init__("idle", **environment)
        try:
            self.url = self.lines.read().decode("ascii").strip()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "IdleAgent":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Probe(ProbeProcess):
    """The library behind a pipe: metrics in, the bytes of a scrape out."""

    def expose(self, *families: dict[str, Any], reports_itself: bool = False) -> bytes:
        """What a registry with these families exposes."""
        request = {"families": families, "reportsItself": reports_itself}
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(request).encode("ascii") + b"\n")
        self.popen.stdin.flush()
        answer = json.loads(self.lines.read())
        assert "error" not in answer, answer["error"]
        return base64.b64decode(answer["exposition"])


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
