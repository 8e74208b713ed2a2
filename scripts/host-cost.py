#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the memory and the pauses that an agent costs its service in the worst case.

These are the numbers in docs/reliability.md.

    scripts/host-cost.py

10,000 series have label values of 8 kB. First one scraper reads them, then 16 scrapers request
different expositions and read slowly. Needs the build of `scripts/test.sh setup build`.
"""

import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests/Integration"))

from raw import Client, get  # noqa: E402
from serving import Serving  # noqa: E402

SERIES, VALUE_BYTES = 10_000, 8_000
SCRAPERS = 16
WINDOW = 4_096
PAUSE = re.compile(r'(?m)^outrider_reading_longest_pause_seconds\{reading="(\w+)"\} (\S+)$')


def mebibytes(server: Serving, field: str) -> float:
    """A field of /proc/PID/status: VmRSS is the resident memory, VmHWM its peak."""
    found = re.search(rf"(?m)^{field}:\s+(\d+) kB", (server.proc / "status").read_text())
    assert found, field
    return int(found[1]) / 1_024


def peak(server: Serving) -> float:
    """The peak of resident memory since the last call."""
    most = mebibytes(server, "VmHWM")
    # proc(5): resets the peak to the current resident memory.
    (server.proc / "clear_refs").write_text("5")
    return most


def main() -> None:
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder, Serving(Path(folder) / "log") as server, ExitStack() as stack:
        rows.append(("resident before", f"{mebibytes(server, 'VmRSS'):.0f} MiB"))
        server.command(f"fill {SERIES} {VALUE_BYTES}")
        rows.append((f"resident with {SERIES} label values of {VALUE_BYTES} bytes", f"{mebibytes(server, 'VmRSS'):.0f} MiB"))
        peak(server)
        with Client(server.url) as client:
            body = client.exchange(get("/metrics", "Connection: close")).body
        rows.append((f"peak of a scrape of {len(body) / (1 << 20):.0f} MiB", f"{peak(server):.0f} MiB"))
        for number in range(SCRAPERS):
            slow = stack.enter_context(Client(server.url, window=WINDOW, source=f"127.0.1.{number % 4 + 1}"))
            slow.send(get(f"/metrics?name[]=probe_long_seconds&name[]=n{number}"))
        with Client(server.url, source="127.0.0.2") as client:
            client.exchange(get("/metrics", "Connection: close"))
        rows.append((f"peak with {SCRAPERS} more scrapes that differ, read slowly from 4 addresses", f"{peak(server):.0f} MiB"))
        rows += [(f"longest pause of the reading {name}", f"{float(seconds) * 1_000:.2f} ms") for name, seconds in PAUSE.findall(body.decode())]
    for name, figure in rows:
        print(f"{name:72} {figure:>10}")


if __name__ == "__main__":
    main()
