# SPDX-License-Identifier: Apache-2.0
"""The Prometheus servers available for tests: the system's, and newer releases."""

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from harness import ROOT, system_binary

SYSTEM = "system"
FETCHER = ROOT / "scripts" / "newer-prometheus.sh"
"""Downloads newer servers into NEWER, and prints the Debian suites that they come from."""

SUITES = [SYSTEM, *subprocess.check_output([FETCHER, "--suites"], text=True, timeout=60).split()]
"""Sources of servers: PATH, and Debian's newer suites by name."""

NEWER = ROOT / ".build" / "newer-prometheus"
"""The directory of the newer servers, by suite."""

SINCE = {
    "scrape_protocols": (2, 49),
    "enable_compression": (2, 49),
    "metric_name_escaping_scheme": (3, 4),
    "scrape_native_histograms": (3, 8),
}
"""The first server version that knows an option of a scrape configuration."""


@dataclass(frozen=True)
class Release:
    """A Prometheus server: its suite, program and version."""

    suite: str
    binary: str
    version: tuple[int, int]

    def knows(self, option: str) -> bool:
        """Whether this server accepts an option in a scrape configuration."""
        return self.version >= SINCE[option]

    def known(self, **options: Any) -> dict[str, Any]:
        """The given options that this server knows."""
        return {name: value for name, value in options.items() if self.knows(name)}

    def __str__(self) -> str:
        return f"Prometheus {self.version[0]}.{self.version[1]} ({self.suite})"


def absence(suite: str) -> str | None:
    """The reason why a suite's server is missing; None if it is present."""
    if suite == SYSTEM or os.access(newer_binary(suite), os.X_OK):
        return None
    return (
        f"NOT TESTED WITH THE PROMETHEUS OF DEBIAN {suite.upper()}, which is not in "
        f"{NEWER.relative_to(ROOT)}: scripts/newer-prometheus.sh fetches it, or says why it cannot"
    )


def newer_binary(suite: str) -> str:
    """The path of a suite's server, present or not."""
    return str(NEWER / suite / "usr" / "bin" / "prometheus")


@functools.cache
def release(suite: str) -> Release:
    """The server of a suite; skips the test, with a visible reason, if it is missing."""
    if reason := absence(suite):
        pytest.skip(reason)
    binary = system_binary("prometheus") if suite == SYSTEM else newer_binary(suite)
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=300)
    found = re.search(r"version (\d+)\.(\d+)", shown.stdout + shown.stderr)
    assert found, f"{binary} does not print its version: {shown.stdout}{shown.stderr}"
    return Release(suite, binary, (int(found[1]), int(found[2])))
