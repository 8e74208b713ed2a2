# SPDX-License-Identifier: Apache-2.0
"""The malloc hooks, their profiles, and libmicrohttpd's behaviour, with newer releases of glibc and
libmicrohttpd than the system's.

test_raw_requests.py sends its requests to agents with these libraries too.
"""

import re
from pathlib import Path

import pytest

from harness import ROOT
from newer_libraries import Libraries
from preload_tools import TORTURE, compiled, fresh_folder, pprof, preloaded, run, sums, torture
from probe_programs import HeapProbe
from serving import Serving, scrape

pytestmark = pytest.mark.compute


def test_a_program_runs_with_the_newer_libraries_only(newer: Libraries, tmp_path: Path) -> None:
    with Serving(tmp_path / "log", libraries=newer) as server:
        scrape(server.url)
        mapped = (server.proc / "maps").read_text()
    # A new glibc would not work with an old linker or thread library.
    for name in ("ld-linux", "libc.so", "libm.so", "libmicrohttpd.so", "libstdc++.so"):
        (path,) = set(re.findall(rf"(?m) (/\S*/{re.escape(name)}\S*|/\S*/{name}-\S*)$", mapped))
        assert Path(path).is_relative_to(newer.folder.parent), path


def test_the_behaviour_of_their_libmicrohttpd_is_detected(newer: Libraries) -> None:
    program = compiled("../Sanitizers/microhttpd.c", f"-I{ROOT}/Sources", "-Wl,--no-as-needed", "-lmicrohttpd")
    ended = run([newer.program(program)], newer.environment)
    assert (ended.status, ended.errors) == (0, b""), ended
    assert re.search(rb"(?m)^libmicrohttpd \S+, which (hides bytes|is strict), seed ", ended.output)


@pytest.mark.parametrize("interval", [1, 65536])
@pytest.mark.parametrize("source", TORTURE)
def test_a_program_ends_as_it_does_without_hooks(newer: Libraries, source: str, interval: int, tmp_path: Path) -> None:
    folder = fresh_folder(tmp_path / "profiles")
    program, *arguments = torture(source)
    hooks = preloaded(f"{folder}/%p.pb.gz", interval)
    ended = run([newer.program(program), *arguments], hooks | newer.environment)
    assert (ended.status, ended.errors, ended.output.decode()) == (0, b"", TORTURE[source])
    (written,) = folder.iterdir()
    shown = pprof("-top", "-sample_index=alloc_space", str(written))
    assert f"allocator: {newer.folder}/libc.so.6" in shown


def test_sampling_everything_gives_exact_sums_and_stacks_to_main(newer: Libraries, tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    program = newer.program(compiled("known.c"))
    ended = run([program, "5000", "1000"], preloaded(str(profile), 1) | newer.environment)
    assert (ended.status, ended.output, ended.errors) == (0, b"done\n", b"")
    assert sums(profile, "inuse_space")["keep_block"] == 5_000_000
    assert sums(profile, "alloc_space")["churn_block"] == 2_500_000
    traces = pprof("-traces", "-focus=keep_block", str(profile))
    assert re.search(r"(?m)^ +4\.77MB +keep_block\n +main$", traces), traces


def test_a_swift_service_shows_the_functions_that_hold_memory(newer: Libraries, tmp_path: Path) -> None:
    with HeapProbe(libraries=newer, OUTRIDER_HEAP_INTERVAL="16384") as probe:
        probe.command("hold 20000")
        profile = probe.save("heap", tmp_path)
    top = pprof("-top", "-cum", profile)
    assert re.search(r"(9\d\.\d\d|100)% +static Serve\.hold\(_:_:\)", top), top
    assert "outrider_heap_probe.ShopSession" in pprof("-tags", profile)
