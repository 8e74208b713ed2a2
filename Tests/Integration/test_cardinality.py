# SPDX-License-Identifier: Apache-2.0
"""A label with a million values costs no more than its family's limit allows, and totals stay
exact."""

import base64
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exposition import key, samples_of
from harness import promtool_findings
from probe_programs import ProbeProcess

pytestmark = pytest.mark.compute

VALUES = 1_000_000
LIMITS = {"flood_hits": 10_000, "flood_wait_seconds": 100}

# docs/performance.md: a counter takes 177 bytes, so a million would take 177 MB. Ten thousand take
# 1.8 MB, and twice that while their tables grow; the rest is memory that a process touches for the
# first time.
AT_LIMIT_BYTES = 16 << 20
BEYOND_BYTES = 4 << 20


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The probe's report after a million users."""
    with ProbeProcess("flood") as probe:
        result: dict[str, Any] = json.loads(probe.lines.read(seconds=600))
    return result


def test_a_million_label_values_take_bounded_memory(report: dict[str, Any]) -> None:
    assert report["atLimit"] - report["before"] < AT_LIMIT_BYTES
    assert report["after"] - report["atLimit"] < BEYOND_BYTES


def test_every_observation_is_in_the_totals(report: dict[str, Any]) -> None:
    text = base64.b64decode(report["exposition"]).decode("utf-8")
    families = {one.name: one for one in text_string_to_metric_families(text)}
    hits = families["flood_hits"].samples
    assert len(hits) == LIMITS["flood_hits"] + 1
    assert sum(sample.value for sample in hits) == VALUES
    waits = samples_of([families["flood_wait_seconds"]])
    counts = [sample.value for (name, _), sample in waits.items() if name.endswith("_count")]
    assert len(counts) == LIMITS["flood_wait_seconds"] + 1
    assert sum(counts) == VALUES
    overflow = waits[key("flood_wait_seconds_bucket", [("user", "_OVERFLOW"), ("le", "+Inf")])]
    assert overflow.value == VALUES - LIMITS["flood_wait_seconds"]


def test_lookups_past_the_limit_are_counted(report: dict[str, Any]) -> None:
    text = base64.b64decode(report["exposition"]).decode("utf-8")
    families = {one.name: one for one in text_string_to_metric_families(text)}
    overflowed = {
        sample.labels["family"]: sample.value
        for sample in families["outrider_series_overflowed"].samples
    }
    assert overflowed == {
        "flood_hits_total": VALUES - LIMITS["flood_hits"],
        "flood_wait_seconds": VALUES - LIMITS["flood_wait_seconds"],
    }
    assert ["The label user has the most values" in notice for notice in report["notices"]] == [
        True,
        True,
    ]


def test_promtool_accepts_the_exposition(report: dict[str, Any]) -> None:
    assert promtool_findings(base64.b64decode(report["exposition"])) == ""
