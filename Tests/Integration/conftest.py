# SPDX-License-Identifier: Apache-2.0
"""Fixtures and hooks of the integration tests: processes shared by a whole run, the kinds of tests,
Hypothesis, and the logs of failed tests."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import newer_libraries
from harness import ROOT, Process, Quickstart
from newer_libraries import Libraries, libraries_of
from probe_programs import Probe
from prometheus_releases import SUITES, Release, absence, release
from prometheus_server import Prometheus

# Examples differ between runs, with the run's seed; a failure prints the blob that reproduces it.
# The duration of an example depends on the machine, so it has no deadline.
settings.register_profile(
    "outrider",
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=False,
    print_blob=True,
    database=None,
)
settings.load_profile("outrider")

KINDS = {"compute", "wait", "measure"}
LONG = {
    "test_drill", "test_exact_totals", "test_fleet", "test_heap", "test_memory_lab", "test_preload_profile",
    "test_newer_libraries", "test_preload_programs", "test_preload_torture", "test_rules", "test_runtime",
}
"""Files that take 15 seconds or more. They start first, so that no CPU is idle at the end."""
FAILED = ROOT / ".build/test-logs/failed"


def pytest_configure() -> None:
    """Restores the default handlers of signals that a background shell or nohup(1) ignores, since
    child processes inherit that."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Checks that each test has exactly one kind, and keeps the tests of a file in one process, in
    sequence."""
    for item in items:
        kinds = KINDS & {mark.name for mark in item.iter_markers()}
        if len(kinds) != 1:
            raise pytest.UsageError(f"{item.nodeid} needs exactly one of the marks {sorted(KINDS)}, but has {sorted(kinds)}")
        if not item.get_closest_marker("xdist_group"):
            shares_prometheus = "prometheus" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("prometheus" if shares_prometheus else item.path.stem))
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Checks that pytest-xdist has kept the groups: pytest-xdist 3.8 drops them with pytest 9.2 and
    later."""
    if session.config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest-xdist does not keep the tests of a file together under this pytest")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keeps the logs of a failed test."""
    report = yield
    if report.failed:
        keep_logs(item, report)
    return report


def keep_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Copies the logs of a test and of session-wide processes, and records the machine's load."""
    folder = FAILED / re.sub(r"[^\w.=-]+", "_", item.nodeid.removeprefix("Tests/Integration/"))[:120]
    folder.mkdir(parents=True, exist_ok=True)
    load = Path("/proc/loadavg").read_text(encoding="ascii") if Path("/proc/loadavg").exists() else "?"
    seed = os.environ.get("OUTRIDER_TEST_SEED", "?")
    context = f"{item.nodeid}\n{report.when}\nload average: {load}seed: {seed}\n\n{report.longreprtext}\n{report.capstdout}\n{report.capstderr}\n"
    (folder / f"{report.when}.txt").write_text(context, encoding="utf-8")
    own = getattr(item, "funcargs", {}).get("tmp_path")
    logs = [path for path in own.rglob("*") if path.suffix == ".log" or path.name == "log"] if own else []
    for log in {*logs, *Process.logs_alive()}:
        if log.is_file():
            shutil.copy(log, folder / "_".join(log.parts[-2:]))


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    """The example service, running."""
    with Quickstart(tmp_path_factory.mktemp("quickstart") / "quickstart.log") as service:
        yield service


@pytest.fixture(scope="session")
def prometheus(
    quickstart: Quickstart, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the example service, and itself as a second job."""
    jobs = {"quickstart": f"{quickstart.target}/metrics"}
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, jobs, scrapes_itself=True) as server:
        yield server


@pytest.fixture(
    scope="session",
    params=[pytest.param(suite, marks=pytest.mark.xdist_group(f"prometheus-{suite}")) for suite in SUITES],
)
def prometheus_release(request: pytest.FixtureRequest) -> Release:
    """Each installed release of Prometheus; skips the test for a missing one."""
    return release(request.param)


@pytest.fixture(
    scope="session",
    params=[pytest.param(suite, marks=pytest.mark.xdist_group(f"libraries-{suite}")) for suite in newer_libraries.SUITES],
)
def libraries(request: pytest.FixtureRequest) -> Libraries:
    """The system's libraries, and each newer set; skips the test for a missing one."""
    return libraries_of(request.param)


@pytest.fixture(
    scope="session",
    params=[pytest.param(suite, marks=pytest.mark.xdist_group(f"libraries-{suite}")) for suite in newer_libraries.SUITES[1:]],
)
def newer(request: pytest.FixtureRequest) -> Libraries:
    """Each newer set of libraries, without the system's."""
    return libraries_of(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports what was not tested with, since a quiet run does not show why a test was skipped."""
    for reason in filter(None, [*map(absence, SUITES), *map(newer_libraries.absence, newer_libraries.SUITES)]):
        terminalreporter.write_line(reason, yellow=True, bold=True)


@pytest.fixture(scope="session")
def probe() -> Iterator[Probe]:
    """The library, driven through a pipe."""
    probe = Probe()
    yield probe
    probe.stop()
