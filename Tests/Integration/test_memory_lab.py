# SPDX-License-Identifier: Apache-2.0
"""The memory lab: it identifies the leak and measures the effect of the pool."""

import json
import re
import subprocess

import pytest

from harness import ROOT, Quickstart, clean_environment, fetch, poll, release_binary
from preload_tools import LIMIT

pytestmark = pytest.mark.compute


def test_the_lab_identifies_the_leak_and_the_saving_of_the_pool() -> None:
    # Built beforehand: a build here would block other builds and wait for them.
    command = [ROOT / "scripts/memory-lab.py", "--seconds", "1", "--program", release_binary("memory-lab")]
    run = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=LIMIT
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "The leak is in RecentViews.remember(_:session:)" in run.stdout
    megabytes = {
        way: float(size)
        for way, size in re.findall(r"^   (naive|pooled) +([\d.]+) MB allocated", run.stdout, re.M)
    }
    assert megabytes["naive"] > 2, run.stdout
    # The rest is the web server's own copy of the response body.
    assert megabytes["pooled"] < megabytes["naive"] / 2, run.stdout
    page = (ROOT / ".build/memory-lab/heap.html").read_text()
    assert "RecentViews.remember(_:session:)" in page and "</html>" in page


def test_the_quickstart_serves_a_heap_profile_with_data(quickstart: Quickstart) -> None:
    text = fetch(f"{quickstart.agent}/debug/pprof/heap?debug=1", timeout=LIMIT).decode()
    assert text.startswith("heap profile: ") and " @ heap/4096\n" in text

    def drawn() -> tuple[int, list[str]] | None:
        """Bytes in use and the names of all functions, as on the page that the quickstart's welcome
        text links to."""
        page = fetch(f"{quickstart.agent}/debug/pprof/heap?format=flamegraph", timeout=LIMIT).decode()
        assert page.startswith("<!doctype html>")
        profile = json.loads(page[page.index("const profile =") + 15 : page.index(";\nconst ROW")])
        _, values, children = profile["root"]
        return (values[3], profile["names"]) if children and len(profile["names"]) > 20 else None

    # Some hundred samples at once, so that a new user sees data.
    in_use, names = poll("the flame graph has data", drawn)
    assert in_use > 20_000 and re.search(r"Quickstart|OrderService|Agent|Registry", " ".join(names))
    assert "outrider_heap_hooks{state=\"sampling\"} 1\n" in quickstart.metrics()
