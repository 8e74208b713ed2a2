# SPDX-License-Identifier: Apache-2.0
"""An example under load: what the memory lab and the drill share."""

import functools
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def say(text: str = "") -> None:
    """A line, at once."""
    print(text, flush=True)


@functools.cache
def built(program: str) -> str:
    """The program of an example, built for release; OUTRIDER_LAB_PROGRAM names one that is built already."""
    if path := os.environ.get("OUTRIDER_LAB_PROGRAM"):
        return path
    build = [ROOT / "scripts/build-release.sh", program]
    return subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Lab:
    """A service with its agent, running on free ports."""

    def __init__(self, product: str, place: Path, **environment: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.product = product
        ours = ("OUTRIDER_", "STOREFRONT_", "REDIS_URL", "SECONDS_TO_RUN")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        ports = {"OUTRIDER_ADDRESS": "127.0.0.1:0", "STOREFRONT_PORT": "0"}
        self.process = subprocess.Popen(
            [built(product)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=kept | ports | environment,
        )
        self.service = self._line("service")
        self.agent = self._line("agent")

    def _line(self, word: str) -> str:
        line = self.process.stdout.readline()
        if not line.startswith(word + " "):
            self.process.kill()
            sys.exit(f"{self.product} does not start; it said: {line!r}")
        return line.split()[1]

    def stop(self) -> None:
        """Ends the service, and by force after ten seconds."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def load(self, seconds: int, *arguments: str) -> tuple[int, str]:
        """Requests that were answered while wrk asked, and what it said."""
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--timeout", "10s", *arguments]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
        found = re.search(r"(\d+) requests in", run.stdout)
        if not found:
            sys.exit(f"wrk was not answered:\n{run.stdout}")
        return int(found[1]), run.stdout

    def fetch(self, path: str) -> bytes:
        """A page of the agent's."""
        with urllib.request.urlopen(self.agent + path, timeout=60) as answer:
            return answer.read()

    def save(self, what: str, name: str) -> Path:
        """A profile, in a file."""
        (self.place / name).write_bytes(self.fetch(f"/debug/pprof/{what}"))
        return self.place / name


def pprof(*arguments: str) -> str:
    """What `go tool pprof` prints."""
    command = ["go", "tool", "pprof", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
