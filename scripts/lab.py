# SPDX-License-Identifier: Apache-2.0
"""An example under load, shared by the memory lab and the drill."""

import functools
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def say(text: str = "") -> None:
    """Prints a line at once."""
    print(text, flush=True)


@functools.cache
def built(product: str) -> str:
    """The program of an example, built for release."""
    build = [ROOT / "scripts/build-release.sh", product]
    return subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Lab:
    """A service with its agent, running on free ports; built first, unless a program is given."""

    def __init__(self, product: str, place: Path, program: str | None = None, **environment: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.product = product
        ours = ("OUTRIDER_", "STOREFRONT_", "REDIS_URL", "SECONDS_TO_RUN")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        # No proxy forwards requests to it, so one address may serve /debug too.
        ports = {"OUTRIDER_ADDRESS": "127.0.0.1:0", "OUTRIDER_DEBUG_ADDRESS": "shared", "STOREFRONT_PORT": "0"}
        self.process = subprocess.Popen(
            [program or built(product)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=kept | ports | environment,
        )
        self.service = self._line("service")
        self.agent = self._line("agent")

    def _line(self, word: str) -> str:
        line = self.process.stdout.readline()
        if not line.startswith(word + " "):
            self.process.kill()
            sys.exit(f"{self.product} did not start; its output: {line!r}")
        return line.split()[1]

    def stop(self) -> None:
        """Ends the service with SIGTERM, and with SIGKILL after ten seconds."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def load(self, seconds: int, *arguments: str) -> tuple[int, str]:
        """Runs wrk; returns the number of completed requests, and wrk's output."""
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--timeout", "60s", *arguments]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 600)
        found = re.search(r"(\d+) requests in", run.stdout)
        if not found:
            sys.exit(f"wrk received no responses:\n{run.stdout}")
        return int(found[1]), run.stdout

    def total(self, metric: str) -> float:
        """The sum of a metric of the agent over its labels."""
        lines = self.fetch("/metrics").decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{metric}[ {{]", line))

    def idle(self) -> int:
        """Waits until no request is in progress, those abandoned by wrk included; returns the
        number handled."""
        limit = time.monotonic() + 300
        while self.total("http_server_active_requests"):
            if time.monotonic() > limit:
                sys.exit(f"{self.product} did not finish its requests in time")
            time.sleep(0.05)
        return int(self.total("http_server_request_duration_seconds_count"))

    def fetch(self, path: str) -> bytes:
        """The body of one of the agent's pages."""
        with urllib.request.urlopen(self.agent + path, timeout=60) as answer:
            return answer.read()

    def save(self, what: str, name: str) -> Path:
        """Saves a profile to a file."""
        (self.place / name).write_bytes(self.fetch(f"/debug/pprof/{what}"))
        return self.place / name


def pprof(*arguments: str) -> str:
    """The output of `go tool pprof`."""
    command = ["go", "tool", "pprof", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
