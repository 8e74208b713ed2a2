# SPDX-License-Identifier: Apache-2.0
"""Metrics recorded through swift-metrics are readable by third-party parsers, whatever their
names."""

from typing import Any

import pytest

from exposition import ASKS_OPENMETRICS, TEXT, OPENMETRICS, samples_of
from hostile_text import FRAGMENTS
from probe_programs import Probe, family

pytestmark = pytest.mark.compute

KINDS = ["swiftMetrics", "swiftMetricsVerbatim"]
TYPES = ["counter", "meter", "recorder", "timer"]


def recorded(
    kind: str, type_: str, label: str, dimensions: list[tuple[str, str]], number: float = 1.0
) -> dict[str, Any]:
    """One series of swift-metrics with one observation."""
    names = [name for name, _ in dimensions]
    values = [value for _, value in dimensions]
    return {**family(kind, label, [(values, [number])], names), "type": type_}


def hostile(kind: str) -> list[dict[str, Any]]:
    """Every fragment as a label, as a dimension and as a value, for every type."""
    return [
        recorded(kind, type_, label, dimensions)
        for number, fragment in enumerate(FRAGMENTS)
        for type_ in TYPES
        for label in (fragment, f"{type_}.{fragment}")
        for dimensions in (
            [],
            [(fragment, FRAGMENTS[number - 1])],
            [(FRAGMENTS[number - 1], fragment), ("le", "1"), ("z", fragment)],
        )
    ]


@pytest.mark.parametrize("accept", [TEXT, ASKS_OPENMETRICS])
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_are_readable_by_the_python_client(probe: Probe, kind: str, accept: str) -> None:
    response = probe.respond(*hostile(kind), reports_itself=True, accept=accept)
    assert response.content_type in (TEXT, OPENMETRICS)
    assert len(samples_of(response.families)) > 500


def test_dimensions_may_differ_between_series(probe: Probe) -> None:
    response = probe.respond(
        recorded("swiftMetrics", "counter", "http", [("status", "200")]),
        recorded("swiftMetrics", "counter", "http", [("error", "no"), ("status", "500")], 2.0),
        recorded("swiftMetrics", "counter", "http", [("status", "500"), ("error", "no")], 3.0),
        accept=ASKS_OPENMETRICS,
    )
    (found,) = response.families
    samples = {tuple(sorted(one.labels.items())): one.value for one in found.samples}
    assert samples == {
        (("status", "200"),): 1.0,
        (("error", "no"), ("status", "500")): 5.0,
    }


@pytest.mark.parametrize(
    ("kind", "name", "type_"),
    [("swiftMetrics", "orders_total", "counter"), ("swiftMetricsVerbatim", "orders", "unknown")],
)
def test_a_counter_has_the_same_name_in_both_formats(
    probe: Probe, kind: str, name: str, type_: str
) -> None:
    metric = recorded(kind, "counter", "orders", [])
    (text,) = probe.respond(metric).families
    (openmetrics,) = probe.respond(metric, accept=ASKS_OPENMETRICS).families
    assert [one.name for one in openmetrics.samples] == [name]
    assert openmetrics.type == type_
    assert text.type == "counter"
