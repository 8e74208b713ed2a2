# SPDX-License-Identifier: Apache-2.0
"""Metrics with colliding names never make an exposition inconsistent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from probe_programs import Probe, family

pytestmark = pytest.mark.compute

ROOTS = ["a", "a_b", "total", "_", "a:b"]
SUFFIXES = ["", "_total", "_sum", "_count", "_bucket", "_info", "_total_total", "_bucket_total"]
KINDS = ["counter", "gauge", "histogram", "info", "callbackGauge", "callbackCounter"]
EXPOSED = {"gauge": [""], "counter": [""], "histogram": ["_bucket", "_sum", "_count"]}


@st.composite
def families(draw: st.DrawFn) -> dict[str, Any]:
    """A family whose name, labels or help text may equal another's."""
    kind = draw(st.sampled_from(KINDS))
    name = draw(st.sampled_from(ROOTS)) + draw(st.sampled_from(SUFFIXES))
    without_labels = kind.startswith("callback")
    labels = [] if without_labels else draw(st.sampled_from([[], ["x"], ["y", "x"]]))
    values = [draw(st.sampled_from(["", "1", "2"])) for _ in labels]
    help_text = draw(st.sampled_from(["One.", "Two."]))
    return family(kind, name, [(values, [1.0])], labels, help_text)


@given(requests=st.lists(families(), min_size=2, max_size=8))
def test_colliding_names_never_duplicate_a_sample(
    probe: Probe, requests: list[dict[str, Any]]
) -> None:
    text = probe.expose(*requests).decode("utf-8")
    metrics = list(text_string_to_metric_families(text))
    samples = [(s.name, *sorted(s.labels.items())) for metric in metrics for s in metric.samples]
    assert len(samples) == len(set(samples)) > 0


@given(requests=st.lists(families(), min_size=2, max_size=8))
def test_colliding_names_never_duplicate_a_family(
    probe: Probe, requests: list[dict[str, Any]]
) -> None:
    lines = probe.expose(*requests).decode("utf-8").split("\n")
    names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE ")]
    assert names == sorted(set(names))


@given(requests=st.lists(families(), min_size=2, max_size=8))
def test_every_sample_follows_the_type_of_its_family(
    probe: Probe, requests: list[dict[str, Any]]
) -> None:
    allowed: set[str] = set()
    for line in probe.expose(*requests).decode("utf-8").split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            allowed = {name + suffix for suffix in EXPOSED[kind]}
        elif line and not line.startswith("#"):
            assert line.split("{")[0].split(" ")[0] in allowed
