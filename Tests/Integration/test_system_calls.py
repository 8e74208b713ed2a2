# SPDX-License-Identifier: Apache-2.0
"""System calls of each product, traced and compared with docs/system-calls.md."""

import functools
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, fetch, heap_probe_binary, system_binary
from preload_tools import LIMIT, compiled, preloaded

pytestmark = pytest.mark.compute


@functools.cache
def documented() -> dict[tuple[str, str], set[str]]:
    """The system calls of each row of the table, by the first words of its product and phase."""
    text = (ROOT / "docs/system-calls.md").read_text()
    table = text.split("\n\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {
        (product.split(",")[0], moment.split(" ")[0].rstrip(",")): set(re.findall(r"`(\w+)`", calls))
        for product, moment, calls in rows[1:]
    }


def traced(
    command: list[str], environment: dict[str, str], trace: Path, waits_for_signal: bool = True
) -> list[str]:
    """Runs a program under strace; returns the lines of the trace without process IDs."""
    strace = [system_binary("strace"), "-f", "-qq", "-o", str(trace), "--signal=none"]
    variables = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    run = subprocess.run(
        [*strace, *variables, *command], env=clean_environment(), capture_output=True, text=True,
        timeout=LIMIT, stdin=subprocess.DEVNULL,
        preexec_fn=None if waits_for_signal else lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    return [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]


def calls(lines: list[str]) -> set[str]:
    """The names of the system calls in a trace."""
    found = (re.match(r"(\w+)\(", line) for line in lines)
    return {match[1] for match in found if match}


def between(lines: list[str], first: str, last: str) -> tuple[list[str], list[str], list[str]]:
    """The lines before, between and after the writes of two marker lines."""
    start = next(number for number, line in enumerate(lines) if line.startswith(f'write(1, "{first}'))
    end = next(number for number, line in enumerate(lines) if line.startswith(f'write(1, "{last}'))
    return lines[:start], lines[start + 1 : end], lines[end + 1 :]


def test_recording_makes_no_system_calls(tmp_path: Path) -> None:
    lines = traced([heap_probe_binary(), "record"], {}, tmp_path / "trace")
    _, recording, _ = between(lines, "recording", "recorded")
    assert calls(recording) == documented()["recording", "counters"] == set()


@pytest.mark.parametrize("interval", [1, 65536])
def test_the_hooks_add_only_the_documented_system_calls(interval: int, tmp_path: Path) -> None:
    def life(environment: dict[str, str], **options: bool) -> tuple[set[str], set[str], set[str]]:
        # One arena, so that glibc does not query the number of CPUs at varying times.
        arenas = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}
        lines = traced([compiled("marked.c")], environment | arenas, tmp_path / "trace", **options)
        return tuple(calls(part) for part in between(lines, "allocating", "allocated"))

    plain, asked = life({}), documented()
    hooked = life({"LD_PRELOAD": preloaded()["LD_PRELOAD"]})
    without_profile = asked["preloaded object without `OUTRIDER_HEAP_PROFILE`", "the"]
    assert set().union(*hooked) - set().union(*plain) <= without_profile
    variables = preloaded(f"{tmp_path}/profile.pb.gz", interval)
    sampled = {name: variables[name] for name in variables if name.startswith(("LD_PRELOAD", "OUTRIDER_"))}
    # Without a handled signal there is no writer thread, which may otherwise start late.
    _, work, _ = life(sampled, waits_for_signal=False)
    assert work - plain[1] <= asked["malloc hooks", "sampled:"]
    start, _, end = life(sampled)
    assert start - plain[0] <= asked["preloaded object", "start"]
    assert end - plain[2] <= asked["preloaded object", "end"]


def test_a_profile_of_a_program_without_threads_makes_only_the_documented_system_calls(tmp_path: Path) -> None:
    environment = {name: value for name, value in preloaded(f"{tmp_path}/profile.pb.gz", 1).items() if name.startswith(("LD_PRELOAD", "OUTRIDER_"))}
    lines = traced([compiled("life.c"), "signal"], environment, tmp_path / "trace")
    _, signalled, end = between(lines, "allocating", "allocated")
    asked = documented()
    # The test sends the signal with the first two. The copy continues while the program ends.
    allowed = {"gettid", "tgkill", "write"} | asked["preloaded object", "SIGUSR2"] | asked["preloaded object", "end"]
    assert "clone" in calls(signalled) and calls(signalled) | calls(end) <= allowed


def test_an_agent_makes_only_the_documented_system_calls(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = [system_binary("strace"), "-f", "-qq", "-o", str(trace), "--signal=none"]
    variables = ["-E", "OUTRIDER_HEAP_INTERVAL=4096"]
    with subprocess.Popen(
        [*strace, *variables, heap_probe_binary(), "serve"], env=clean_environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as probe:  # fmt: skip
        url = probe.stdout.readline().strip()
        probe.stdin.write("hold 2000\n")
        probe.stdin.flush()
        assert probe.stdout.readline() == "done\n"
        pages = ["", "metrics", "healthz", "readyz", "debug/pprof/heap", "debug/pprof/heap?seconds=1"]
        for page in pages:
            fetch(f"{url}/{page}", timeout=LIMIT)
        probe.stdin.close()
        assert probe.wait(LIMIT) == 0
    lines = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    # Includes the loader's calls before the agent starts.
    assert calls(lines) <= documented()["agent with runtime metrics and a heap profiler", "the"]
    assert "process_vm_readv" not in calls(lines)
