# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md lists what live agents expose, no more and no less."""

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
"""Sections of traits, which tests in Swift compare with the real ones."""


@dataclass(frozen=True)
class Listed:
    """A row of the list."""

    kind: str
    labels: str
    absent_when: str


def listed() -> dict[str, Listed]:
    """The rows, by name."""
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
    """Type and label names of each family, by the name that it has in the text format."""
    exposition = Exposition(fetch(f"{url}/metrics"), [("Content-Type", "text/plain; version=0.0.4")])
    found: dict[str, tuple[str, set[str]]] = {}
    for family in exposition.families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - {"le"})
    return found


@pytest.fixture(scope="module", name="live")
def fixture_live(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, set[str]]]:
    """What two agents expose that have everything switched on, once something has happened to them."""
    log = tmp_path_factory.mktemp("agents") / "log"
    # A bad address is a failed start; the agent goes on without.
    with RuntimeLab(log=log, OUTRIDER_DEBUG_ADDRESS="nonsense") as lab, HeapProbe() as heap:
        lab.do("everything")
        lab.do("objects 100000")
        # Until it is seen.
        lab.do("block-main 0")
        poll("the stall is counted", lambda: "outrider_stalls_total" in exposed(lab.url) or None)
        lab.do("unblock")
        # Growth is what lies between two readings.
        lab.after_reading("memory")
        return exposed(heap.url) | exposed(lab.url)


def test_what_is_exposed_is_listed(live: dict[str, tuple[str, set[str]]]) -> None:
    rows = listed()
    for name, (kind, labels) in live.items():
        if name.startswith("probe_"):
            continue
        assert name in rows, f"{name} is not in docs/metrics.md"
        # In the text format an info is a gauge.
        assert rows[name].kind.replace("info", "gauge") == kind, name
        if rows[name].labels.startswith("attributes") or rows[name].labels == "as the duration":
            continue
        names = set(re.findall(r"`([a-z_]+)`", rows[name].labels))
        assert labels <= names, f"{name} has {labels}, the list says {names}"


def test_what_is_listed_is_exposed(live: dict[str, tuple[str, set[str]]]) -> None:
    machine = ("no limit", "no cpu controller", "no memory controller", "no swap controller",
               "no pids controller", "version 1")
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "Sources").rglob("*.swift"))
    missing = []
    for name, row in listed().items():
        assert f'"{name}"' in sources, f"{name} is in no source"
        if name in live:
            continue
        depends = name.startswith("cgroup_") and row.absent_when.startswith(machine)
        if not depends and not row.absent_when.startswith("before the first one"):
            missing.append(name)
    assert not missing, f"docs/metrics.md lists what no agent exposes: {missing}"
    # Few things have to go wrong in a way of their own.
    rare = {name for name in listed() if name not in live and not name.startswith("cgroup_")}
    assert rare <= {
        "outrider_connections_cut_total",
        "outrider_collector_failures_total",
        "outrider_source_failures_total",
    }


def test_the_list_is_of_the_units_that_the_names_say() -> None:
    """Names end in their unit, as Prometheus has it."""
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        if row := ROW.match(line):
            unit = row[2].split(" | ")[1]
            base = row[1].removesuffix("_total")
            for word in ["seconds", "bytes", "ratio", "cores"]:
                assert base.endswith(f"_{word}") == unit.startswith(word), (row[1], unit)
