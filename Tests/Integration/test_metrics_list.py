# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md lists exactly the metrics that live agents expose."""

import re
from dataclasses import dataclass

import pytest

from exposition import Exposition
from harness import ROOT, fetch, poll
from runtime_lab import RuntimeLab
from test_heap import HeapProbe

pytestmark = pytest.mark.wait

ROW = re.compile(r"^\| `([a-z_]+)` \| (.*) \|$")
ELSEWHERE = {
    "Log messages", "Event loops of NIO", "gRPC calls", "Connections of AsyncHTTPClient",
}
"""Sections of optional traits, which Swift tests compare with the actual metrics."""


@dataclass(frozen=True)
class Listed:
    """A row of a table in docs/metrics.md."""

    kind: str
    labels: str
    absent_when: str


def listed() -> dict[str, Listed]:
    """The rows, by metric."""
    found: dict[str, Listed] = {}
    section = ""
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if (row := ROW.match(line)) and section not in ELSEWHERE:
            kind, _, labels, _, _, absent = (cell.strip() for cell in row[2].split(" | "))
            assert row[1] not in found, f"{row[1]} is listed twice"
            found[row[1]] = Listed(kind, labels, absent)
    return found


def exposed(url: str) -> dict[str, tuple[str, set[str]]]:
    """Type and label names of each family, by its name in the text format."""
    exposition = Exposition(fetch(f"{url}/metrics"), [("Content-Type", "text/plain; version=0.0.4")])
    found: dict[str, tuple[str, set[str]]] = {}
    for family in exposition.families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - {"le"})
    return found


@pytest.fixture(scope="module", name="live")
def fixture_live(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, set[str]]]:
    """The metrics of two agents with everything enabled, after events of every kind."""
    log = tmp_path_factory.mktemp("agents") / "log"
    # An invalid debug address counts as a failed start; the agent runs without that listener.
    with RuntimeLab(log=log, OUTRIDER_DEBUG_ADDRESS="nonsense") as lab, HeapProbe() as heap:
        lab.do("everything")
        lab.do("objects 100000")
        # Until the stall is detected.
        lab.do("block-main 0")
        poll("the stall is counted", lambda: "outrider_stalls_total" in exposed(lab.url) or None)
        lab.do("unblock")
        # Growth is the difference of two readings.
        lab.after_reading("memory")
        return exposed(heap.url) | exposed(lab.url)


def test_every_exposed_metric_is_listed(live: dict[str, tuple[str, set[str]]]) -> None:
    rows = listed()
    for name, (kind, labels) in live.items():
        if name.startswith("probe_"):
            continue
        assert name in rows, f"{name} is not in docs/metrics.md"
        # The text format has no info type: it is a gauge.
        assert rows[name].kind.replace("info", "gauge") == kind, name
        if rows[name].labels.startswith("attributes") or rows[name].labels == "as the duration":
            continue
        names = set(re.findall(r"`([a-z_]+)`", rows[name].labels))
        assert labels <= names, f"{name} has the labels {labels}, docs/metrics.md has {names}"


def test_every_listed_metric_is_exposed(live: dict[str, tuple[str, set[str]]]) -> None:
    machine = ("no limit", "no cpu controller", "no memory controller", "no swap controller",
               "no pids controller", "version 1")
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "Sources").rglob("*.swift"))
    missing = []
    for name, row in listed().items():
        assert f'"{name}"' in sources, f"{name} is not in any source file"
        if name in live:
            continue
        depends = name.startswith("cgroup_") and row.absent_when.startswith(machine)
        if not depends and not row.absent_when.startswith("before the first one"):
            missing.append(name)
    assert not missing, f"docs/metrics.md lists metrics that no agent exposes: {missing}"
    # Only these need a specific failure.
    rare = {name for name in listed() if name not in live and not name.startswith("cgroup_")}
    assert rare <= {
        "outrider_connections_cut_total",
        "outrider_collector_failures_total",
        "outrider_source_failures_total",
    }


def test_units_match_the_names() -> None:
    """Names end in their unit, as Prometheus recommends."""
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        if row := ROW.match(line):
            unit = row[2].split(" | ")[1]
            base = row[1].removesuffix("_total")
            for word in ["seconds", "bytes", "ratio", "cores"]:
                assert base.endswith(f"_{word}") == unit.startswith(word), (row[1], unit)
