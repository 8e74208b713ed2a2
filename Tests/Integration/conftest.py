# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: the processes that live for a whole run, and Hypothesis."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import settings

from harness import Quickstart
from probing import Probe
from prometheus_releases import SUITES, Release, absence, release
from prometheus_server import Prometheus

# Examples differ from run to run; a failure prints the blob that repeats it.
settings.register_profile(
    "outrider",
    max_examples=250,
    deadline=timedelta(seconds=5),
    derandomize=False,
    print_blob=True,
    database=None,
)
settings.load_profile("outrider")


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


@pytest.fixture(scope="session", params=SUITES)
def prometheus_release(request: pytest.FixtureRequest) -> Release:
    """Every Prometheus that there is, one after the other; those that are missing are skipped."""
    return release(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was not tested with, since a quiet run does not show why a test was skipped."""
    for reason in filter(None, map(absence, SUITES)):
        terminalreporter.write_line(reason, yellow=True, bold=True)


@pytest.fixture(scope="session")
def probe() -> Iterator[Probe]:
    """The library behind a pipe."""
    probe = Probe()
    yield probe
    probe.stop()
