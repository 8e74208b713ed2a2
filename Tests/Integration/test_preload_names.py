# SPDX-License-Identifier: Apache-2.0
"""Names in the profiles of the preloaded sampler: files with several executable segments, libraries that come and go,
names that double themselves."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import system_binary
from preloading import compiled, decoded, pprof, preloaded, run, sums

pytestmark = pytest.mark.compute


# --- several executable segments ----------------------------------------------------------------------


def test_functions_of_every_executable_segment_have_names(tmp_path: Path) -> None:
    program = compiled("two_segments.c", "-no-pie", "-fuse-ld=bfd", "-Wl,--section-start=.hot_text=0x8000000")
    headers = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True, check=True)
    assert len(re.findall(r"LOAD .* R E ", headers.stdout)) == 2
    profile = tmp_path / "profile.pb.gz"
    ended = run([program], preloaded(str(profile), 1))
    assert (ended.status, ended.errors) == (0, b"")
    assert sums(profile, "inuse_space")["hot_block"] == 100_000
    traces = pprof("-traces", "-focus=hot_block", str(profile))
    assert re.search(r"hot_block\n +cold_caller\n +main\n", traces), traces
    # A mapping for each segment, at the addresses that readelf tells.
    text = decoded(profile)
    mapped = {int(start) for start in re.findall(r"memory_start: (\d+)", text)}
    segments = re.findall(r"LOAD +0x\w+ 0x(\w+) .* R E ", headers.stdout)
    assert {int(start, 16) for start in segments} <= mapped


def test_node_has_names(tmp_path: Path) -> None:
    node = system_binary("node")
    profile = tmp_path / "profile.pb.gz"
    ended = run([node, "-e", "0"], preloaded(str(profile), 65536))
    assert (ended.status, ended.errors) == (0, b"")
    locations = re.findall(r"(?m)^location \{\n((?:  .*\n)*)\}", decoded(profile))
    unmapped = [one for one in locations if "mapping_id" not in one]
    # Code that node has made itself lies in no file.
    assert len(locations) > 100 and len(unmapped) < len(locations) / 10


# --- libraries that come and go ------------------------------------------------------------------------


def libraries() -> list[str]:
    """Two libraries of the same size."""
    return [
        compiled("swapped_library.c", "-shared", "-fPIC", f"-DNAME={name}", name=f"lib{name}.so")
        for name in ("first_block", "other_block")
    ]


def swapped(rounds: int, profile: Path) -> None:
    """Runs the program; the libraries have to come to the same place, or nothing is shown."""
    command = [compiled("swapped.c"), str(rounds), *libraries()]
    ended = run(command, preloaded(str(profile), 1))
    assert (ended.status, ended.output, ended.errors) == (0, b"all in one place\n", b"")


def test_memory_of_an_unloaded_library_has_its_functions_names(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    swapped(1, profile)
    for kind in ("inuse_space", "alloc_space"):
        found = sums(profile, kind)
        assert (found["first_block"], found["other_block"]) == (1_000, 2_000)
    files = re.findall(r'string_table: "(.*lib\w+_block\.so)"', decoded(profile))
    assert sorted(files) == sorted(libraries())


def test_a_library_that_comes_again_and_again_takes_no_more_stacks(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    # More stacks than there is room for, if each round took its own.
    swapped(9_000, profile)
    found = sums(profile, "inuse_space")
    assert (found["first_block"], found["other_block"]) == (9_000_000, 18_000_000)
    assert "stacks refused: 0," in decoded(profile)


# --- names that double themselves ----------------------------------------------------------------------


def doubled(levels: int, folder: Path) -> tuple[float, int, str]:
    """Processor seconds and peak memory in bytes of a program, and its profile."""
    program = compiled("doubling.cpp", f"-DLEVELS={levels}", name=f"doubling-{levels}")
    profile = folder / f"{levels}.pb.gz"
    process = subprocess.Popen([program], env=preloaded(str(profile), 1), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, decoded(profile)


def test_a_name_that_doubles_itself_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    seconds, memory, text = doubled(2, tmp_path)
    assert "void* hold<Both<Both<int, int>, Both<int, int> > >" in text
    for levels in (16, 20, 26):
        more_seconds, more_memory, text = doubled(levels, tmp_path)
        # Written out, the longest would take 11 s and 1.5 GB.
        assert more_seconds < seconds + 1
        assert more_memory < memory + (8 << 20)
        names = re.findall(r'string_table: "(.*hold.*)"', text)
        assert names and all(len(name) <= 16_384 for name in names)
