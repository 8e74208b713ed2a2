# SPDX-License-Identifier: Apache-2.0
"""A service with the heap profiler linked in, and its profiles read by their usual consumers."""

import gzip
import math
import re
import statistics
import subprocess
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ROOT, Lines, clean_environment, fetch, heap_probe_binary, poll, promtool_findings, system_binary
from preload_tools import BEHIND, LIMIT, compiled, hooked, library, outcome, pprof, profiles
from probe_programs import HeapProbe

pytestmark = pytest.mark.compute


@pytest.fixture
def probe() -> Iterator[HeapProbe]:
    with HeapProbe(OUTRIDER_HEAP_INTERVAL="16384") as probe:
        yield probe


def held_by(function: str, top: str) -> float:
    """The bytes below a function in the output of `pprof -top -cum`; 0 if it is absent."""
    line = re.search(rf"(?m)([\d.]+)(B|kB|MB) +[\d.]+% +{re.escape(function)}$", top)
    return float(line[1]) * {"B": 1, "kB": 1 << 10, "MB": 1 << 20}[line[2]] if line else 0


def test_pprof_shows_the_functions_that_hold_memory(probe: HeapProbe, tmp_path: Path) -> None:
    before = probe.save("heap?n=1", tmp_path)
    probe.command("hold 20000")
    after = probe.save("heap?n=2", tmp_path)
    top = pprof("-top", "-cum", after)
    assert "Type: inuse_space" in top and re.search(r"9\d\.\d\d% +static Serve\.hold\(_:_:\)|100% +static Serve\.hold", top)
    assert "ShopSession.init(_:)" in top
    assert "static Serve.hold(_:_:)" in pprof("-traces", after)
    difference = pprof("-top", "-cum", f"-base={before}", after)
    assert "static Serve.hold(_:_:)" in difference
    drawn = str(tmp_path / "graph.svg")
    pprof("-svg", f"-output={drawn}", after)
    assert "Serve" in Path(drawn).read_text()
    probe.command("release")
    left = pprof("-top", "-cum", probe.save("heap?n=3", tmp_path))
    # The runtime keeps metadata of generic types, some of which may be sampled.
    assert held_by("static Serve.hold(_:_:)", left) < held_by("static Serve.hold(_:_:)", top) / 50


def test_live_objects_are_labelled_with_their_swift_types(probe: HeapProbe, tmp_path: Path) -> None:
    probe.command("hold 20000")
    tags = pprof("-tags", probe.save("heap", tmp_path))
    for name in [
        "outrider_heap_probe.ShopSession",
        "outrider_heap_probe.ShopBox<Swift.Dictionary<Swift.String, Swift.Int>>",
        "Swift._ContiguousArrayStorage<Swift.Double>",
        "Swift._DictionaryStorage<Swift.String, Swift.Int>",
    ]:
        assert name in tags, tags


def test_every_format_is_readable_by_its_consumer(probe: HeapProbe, tmp_path: Path) -> None:
    probe.command("hold 5000")
    profile = gzip.decompress(Path(probe.save("heap", tmp_path)).read_bytes())
    decoded = subprocess.run(
        [
            system_binary("protoc"), "--decode=Profile", f"-I{ROOT}/Tests/Preload",
            f"{ROOT}/Tests/Preload/profile.proto",
        ],
        input=profile, capture_output=True, timeout=LIMIT, check=True,
    ).stdout.decode()
    # protoc prints unknown fields by number: there are none.
    assert not re.search(r"^\s*\d+[:{ ]", decoded, re.MULTILINE)
    for text in ["alloc_objects", "inuse_space", "ShopSession.init(_:)"]:
        assert f'string_table: "{text}"' in decoded
    assert re.search(r"period: 16384\b", decoded) and "build_id" in decoded
    raw = pprof("-raw", str(tmp_path / "heap"))
    assert "PeriodType: space bytes\nPeriod: 16384\n" in raw
    assert "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes" in raw
    text = fetch(f"{probe.url}/debug/pprof/heap?debug=1", timeout=LIMIT).decode()
    assert re.match(r"heap profile: \d+: \d+ \[\d+: \d+\] @ heap/16384\n", text)
    assert re.search(r"^#\t0x[0-9a-f]+\tstatic Serve\.hold\(_:_:\)$", text, re.MULTILINE)
    collapsed = fetch(f"{probe.url}/debug/pprof/heap?format=collapsed", timeout=LIMIT).decode()
    assert re.search(r"^.*static Serve\.hold\(_:_:\);.*swift_slowAlloc \d+$", collapsed, re.MULTILINE)


def test_a_profile_over_seconds_covers_that_period_only(probe: HeapProbe, tmp_path: Path) -> None:
    probe.command("hold 20000")
    text = fetch(f"{probe.url}/debug/pprof/allocs?seconds=1&debug=1", timeout=LIMIT).decode()
    held = [stack for stack in text.split("\n\n")[1:] if "Serve.hold" in stack]
    # Swift's runtime may free there what it allocated before.
    assert all(re.match(r"-?\d+: -?\d+ \[0: 0\] @ ", stack) for stack in held), held


def test_the_flame_graph_is_a_self_contained_page(probe: HeapProbe, tmp_path: Path) -> None:
    graph = f"{probe.url}/debug/pprof/heap?format=flamegraph"
    page = fetch(graph, timeout=LIMIT).decode()
    assert "://" not in page.replace("http://www.w3.org", ""), "nothing is loaded from elsewhere"
    probe.command("hold 20000")
    with urllib.request.urlopen(graph, timeout=LIMIT) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert b'"static Serve.hold(_:_:)"' in response.read()


OWN_FUNCTIONS = (
    r"HeapSnapshot|LiveTypes|SampleTable|Symbolizer|ModuleHistory|NamedStacks|FlameTree|FlameGraph|JSONText|TextReport"
    r"|CollapsedStacks|PprofEncoder|GzipWriter|ProfilePage.moment|ProfilePage.answer"
)


def test_a_profile_omits_allocations_of_the_profiler(probe: HeapProbe) -> None:
    probe.command("interval 1")
    # A thread notices the change within 1 MiB of allocations.
    probe.command("churn 2000")
    probe.command("hold 100")
    for _ in range(2):
        for form in ("pprof", "text", "collapsed", "flamegraph"):
            fetch(f"{probe.url}/debug/pprof/heap?format={form}", timeout=LIMIT)
        fetch(f"{probe.url}/debug/pprof/heap?seconds=1", timeout=LIMIT)
    # Includes everything since the start, freed or not.
    for kind in ("heap", "allocs"):
        lines = fetch(f"{probe.url}/debug/pprof/{kind}?format=collapsed", timeout=LIMIT).decode().splitlines()
        assert any("Serve.hold" in line for line in lines)
        assert [line for line in lines if re.search(OWN_FUNCTIONS, line)] == []


def test_an_almost_empty_profile_explains_how_to_get_more_samples() -> None:
    with HeapProbe(OUTRIDER_HEAP_INTERVAL=str(1 << 40)) as probe:
        for form in ("text", "flamegraph"):
            page = fetch(f"{probe.url}/debug/pprof/heap?format={form}", timeout=LIMIT).decode()
            assert "one sample every 1099511627776 allocated bytes, on average" in page
            assert "OUTRIDER_HEAP_INTERVAL=8192 shows more of a small or idle service" in page
        probe.command("interval 0")
        assert "Sampling is off" in fetch(f"{probe.url}/debug/pprof/heap?debug=1", timeout=LIMIT).decode()
        probe.command("interval 1024")
        probe.command("hold 20000")
        assert "one sample every" not in fetch(f"{probe.url}/debug/pprof/heap?debug=1", timeout=LIMIT).decode()


def rendered(form: str, stacks: int) -> tuple[int, int]:
    """The size of a profile of deep stacks, and the growth of the process that wrote it, in
    bytes."""
    run = subprocess.run(
        [heap_probe_binary(), "render", form, str(stacks)], env=clean_environment(), capture_output=True, text=True,
        timeout=LIMIT, check=True,
    )
    size, growth = map(int, run.stdout.split())
    return size, growth


@pytest.mark.parametrize("form", ["pprof", "text", "collapsed", "flamegraph"])
def test_a_profile_of_all_stacks_takes_little_memory(form: str) -> None:
    # The symbol tables of this program take the same memory for a few stacks.
    _, few = rendered(form, 16)
    size, all_of_them = rendered(form, 16_384)
    assert all_of_them - few < 16e6
    # The profile is not empty: at least 4 bytes for each stack's sample, or the maximum size of a
    # text.
    assert size > (65_536 if form == "pprof" else 500_000)


def growth_of(probe: HeapProbe, form: str) -> int:
    """The growth of a process that serves a profile, beyond what it had before, in bytes."""
    # Resets the peak resident size (proc_pid_clear_refs(5)).
    Path(f"/proc/{probe.popen.pid}/clear_refs").write_text("5")
    before = probe.status("VmRSS")
    assert "ShopSession.init" in readable(fetch(f"{probe.url}/debug/pprof/heap?{FORMS[form]}", timeout=LIMIT))
    return probe.status("VmHWM") - before


def readable(body: bytes) -> str:
    """A profile as text, whether it is compressed or not."""
    return (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode("utf-8", "replace")


FORMS = {"pprof": "", "text": "debug=1", "collapsed": "format=collapsed", "flamegraph": "format=flamegraph"}


@pytest.mark.parametrize("form", FORMS)
def test_serving_a_profile_of_all_stacks_takes_little_memory(form: str, probe: HeapProbe) -> None:
    probe.command("interval 1")
    # A thread notices the change within 1 MiB of allocations.
    probe.command("churn 2000")
    probe.command("deep 16")
    # The symbol tables of this program take the same memory for a few stacks.
    growth_of(probe, form)
    few = growth_of(probe, form)
    probe.command("deep 16384")
    assert probe.value("outrider_heap_samples_refused_total", reason="stacks") > 0, "not all stacks are used"
    assert growth_of(probe, form) - few < 16e6


def test_metrics_agree_with_the_profile(probe: HeapProbe, tmp_path: Path) -> None:
    probe.command("hold 20000")
    probe.command("churn 50000")
    exposition = fetch(f"{probe.url}/metrics", timeout=60)
    assert promtool_findings(exposition) == ""
    live = probe.value("heap_live_bytes")
    # 20,000 times 128 bytes of words, 512 or more of an array, and their overhead.
    assert 15e6 < live < 40e6
    assert probe.value("heap_allocated_bytes_total") > live + 45e6
    assert probe.value("outrider_heap_hooks", state="sampling") == 1
    assert probe.value("outrider_heap_sampling_interval_bytes") == 16384
    assert probe.value("outrider_heap_sampler_seconds_total") > 0
    assert probe.value("outrider_heap_samples") > 600
    for reason in ["live_blocks", "stacks", "frees"]:
        assert probe.value("outrider_heap_samples_refused_total", reason=reason) == 0
    probe.command("release")
    assert probe.value("heap_live_bytes") < live / 4


def test_memory_of_an_unloaded_library_is_attributed_to_its_functions(probe: HeapProbe) -> None:
    first, other = (
        compiled("swapped_library.c", "-shared", "-fPIC", f"-DNAME={name}", name=f"lib{name}.so")
        for name in ("first_block", "other_block")
    )
    probe.command("interval 1")
    # A thread notices the change within 1 MiB of allocations.
    probe.command("churn 2000")
    probe.command(f"library {first} 1000000")
    probe.command(f"keep {other} 3000000")
    lines = fetch(f"{probe.url}/debug/pprof/heap?format=collapsed", timeout=LIMIT).decode().splitlines()
    found = {line.rpartition(" ")[0].rpartition(";")[2]: int(line.rpartition(" ")[2]) for line in lines}
    assert (found["first_block"], found["other_block"]) == (1_000_000, 3_000_000)


def test_sampling_can_be_switched_off_and_on(probe: HeapProbe) -> None:
    probe.command("interval 0")
    # A thread notices the change within 1 MiB of allocations.
    probe.command("churn 2000")
    before = probe.value("outrider_heap_samples_taken_total")
    probe.command("churn 50000")
    # Each other thread may take one more sample before it notices; otherwise there would be 3,125.
    assert probe.value("outrider_heap_samples_taken_total") - before < 50
    assert probe.value("outrider_heap_hooks", state="off") == 1
    probe.command("interval 4096")
    probe.command("churn 50000")
    taken = probe.value("outrider_heap_samples_taken_total") - before
    # One sample for each 4 KiB of 50 MB, less the first.
    assert 10_000 < taken < 15_000


def test_an_invalid_interval_in_the_environment_is_reported(tmp_path: Path) -> None:
    run = subprocess.run(
        [heap_probe_binary(), "state"], env=clean_environment(OUTRIDER_HEAP_INTERVAL="lots"),
        capture_output=True, text=True, timeout=LIMIT, check=True,
    )
    assert run.stdout.startswith('OUTRIDER_HEAP_INTERVAL is "lots", which is not a number of bytes')
    assert "\nsampling /" in run.stdout


@pytest.mark.parametrize("behind", BEHIND)
def test_linked_hooks_forward_to_the_preloaded_allocator(behind: str) -> None:
    preload = {"LD_PRELOAD": library(BEHIND[behind])} if BEHIND[behind] else {}
    run = subprocess.run(
        [heap_probe_binary(), "state"], env=clean_environment(**preload), capture_output=True,
        text=True, timeout=LIMIT, check=True,
    )
    word, file = run.stdout.split()
    assert word == "sampling" and (BEHIND[behind] or "libc.so.6").split(".so")[0] in file


def test_a_malloc_before_the_hooks_is_reported_and_does_no_harm(tmp_path: Path) -> None:
    source = tmp_path / "first.c"
    # A library with its own malloc, preloaded before the hooks.
    source.write_text(
        "#include <stddef.h>\nextern void *__libc_malloc(size_t);\nextern void __libc_free(void *);\n"
        "void *malloc(size_t n) { return __libc_malloc(n); }\nvoid free(void *p) { __libc_free(p); }\n"
    )
    made = tmp_path / "first.so"
    subprocess.run(
        [system_binary("gcc"), "-shared", "-fPIC", str(source), "-o", str(made)], check=True, timeout=LIMIT
    )
    environment = hooked(tmp_path / "profiles")
    environment["LD_PRELOAD"] = f"{made}:{environment['LD_PRELOAD']}"
    status, printed, said = outcome(["bash", "-c", "echo hello"], environment)
    assert (status, printed) == (0, "hello\n")
    assert "no profile: another library's malloc takes precedence" in said
    assert not profiles(tmp_path / "profiles")


def test_estimates_are_unbiased_and_as_precise_as_expected() -> None:
    run = subprocess.run(
        [heap_probe_binary(), "truth"], env=clean_environment(), capture_output=True, text=True,
        timeout=LIMIT, check=True,
    )
    ratios: dict[str, list[float]] = defaultdict(list)
    expected: dict[str, float] = {}
    for line in run.stdout.splitlines():
        _, site, _, true, estimate, samples = line.split()
        ratios[site].append(int(estimate) / int(true))
        expected[site] = 1 / math.sqrt(float(samples))
    assert set(ratios) == {"small", "large", "churn"}
    for site, values in ratios.items():
        assert len(values) == 50
        # The seeds are fixed, so these values are the same in each run. Over 50 seeds, the standard
        # error of the mean is the spread over the square root of 50, here 0.6 to 0.8 %; 3 % is four
        # of those.
        assert abs(statistics.mean(values) - 1) <= 0.03, (site, values)
        # The spread of 50 values is itself known to a tenth, so this allows four of those; and
        # blocks of a tenth of the interval spread a little less.
        assert 0.6 <= statistics.stdev(values) / expected[site] <= 1.4, (site, values)


def test_the_interval_widens_over_budget_and_logs_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with HeapProbe(log=log, OUTRIDER_HEAP_INTERVAL="1", PROBE_KEEPS_BUDGET="1") as probe:
        blocks = 0

        def churn(times: int) -> None:
            nonlocal blocks
            for _ in range(times):
                probe.command("churn 20000")
            blocks += times * 20_000

        def is_widened() -> bool | None:
            churn(20)
            return probe.value("outrider_heap_sampling_interval_bytes") >= 16 or None

        # Everything is sampled: far more than 1 % of a core, even of the share that a busy machine
        # grants.
        poll("the interval widens", is_widened, LIMIT)
        churn(200)
        # The estimate stays unbiased. No interval was wider than the last one, so this is at most
        # the standard deviation; chance exceeds seven of them once in 10^11 runs.
        widened = probe.value("outrider_heap_sampling_interval_bytes")
        deviation = math.sqrt(widened / (blocks * 1_024))
        allocated = probe.value("heap_allocated_bytes_total")
        assert abs(allocated / (blocks * 1_024) - 1) < 0.02 + 7 * deviation
        assert probe.value("outrider_heap_samples_taken_total") < blocks
    assert "heap sampling used more than its budget of 1.0 % of a core" in log.read_text()


def test_the_interval_narrows_after_a_minute_within_budget() -> None:
    process = subprocess.Popen(
        [heap_probe_binary(), "budget"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=clean_environment(),
    )
    lines = Lines(process.stdout)

    def look(nanoseconds: float, interval: int, seconds: float) -> tuple[int, str]:
        process.stdin.write(f"{nanoseconds} {interval} {seconds}\n".encode())
        process.stdin.flush()
        new, said = lines.read(LIMIT).decode().strip().split(" ", 1)
        return int(new), said

    nothing = (0, "-")
    try:
        assert look(0, 524288, 100) == nothing
        interval, said = look(1e9, 2097152, 101)
        assert interval == 2097152
        assert said.endswith("; the interval is now 2097152 bytes")
        assert look(1e9, 2097152, 102) == nothing
        assert look(1e9, 2097152, 150) == nothing, "it narrows only after a minute"
        interval, said = look(1e9, 2097152, 170)
        assert interval == 1048576 and said.endswith("; the interval is now 1048576 bytes")
        assert look(1.5e9, 1048576, 230) == nothing, "0.8 % of a core is too close to the budget"
        assert look(1.5e9, 1048576, 240) == nothing
        assert look(1.5e9, 1048576, 305)[0] == 524288
        assert look(1.5e9, 524288, 900) == nothing, "it does not narrow below the configured interval"
    finally:
        process.communicate(timeout=LIMIT)


def test_memory_of_the_profiler_itself_is_bounded(probe: HeapProbe) -> None:
    def resident() -> float:
        return probe.value("process_resident_memory_bytes")

    probe.command("interval 1")
    probe.command("hold 3000")
    probe.command("churn 1000")
    first = resident()
    # Samples of 4 times 200,000 blocks; the table holds 65,536.
    probe.command("hold 100000")
    assert probe.value("outrider_heap_samples") <= 65536
    assert probe.value("outrider_heap_samples_refused_total", reason="live_blocks") > 100_000
    probe.command("release")
    assert probe.value("outrider_heap_samples") < 20_000
    assert resident() - first < 200e6
    with pytest.raises(urllib.error.HTTPError) as refusal:
        fetch(f"{probe.url}/debug/pprof/profile")
    assert refusal.value.code == 404
