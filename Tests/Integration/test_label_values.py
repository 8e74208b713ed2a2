# SPDX-License-Identifier: Apache-2.0
"""Label values: no text can break a scrape, and every text is read back unchanged."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from harness import promtool_findings
from hostile_text import LONGEST_VALUE, VALUES, texts
from probe_programs import Probe, family

pytestmark = pytest.mark.compute

LABELS = ["a", "b", "le_", "z"]


def parsed(exposition: bytes) -> list[Metric]:
    """The families of an exposition, read by a third-party parser."""
    return list(text_string_to_metric_families(exposition.decode("utf-8")))


def label_sets(exposition: bytes) -> list[dict[str, str]]:
    """The labels of every sample."""
    return [sample.labels for metric in parsed(exposition) for sample in metric.samples]


@given(value=texts)
def test_a_hostile_label_value_is_read_back_unchanged(probe: Probe, value: str) -> None:
    exposition = probe.expose(family("gauge", "depth", [([value], [1.0])], ["queue"]))
    # For Prometheus, an empty value is the same as no label.
    assert label_sets(exposition) == [{"queue": value} if value else {}]


@given(st.lists(st.tuples(*[texts] * len(LABELS)), min_size=1, max_size=8, unique=True))
def test_hostile_label_values_stay_separate(
    probe: Probe, values: list[tuple[str, ...]]
) -> None:
    series = [(list(one), [float(number)]) for number, one in enumerate(values)]
    exposition = probe.expose(family("gauge", "depth", series, LABELS))
    wanted = [{k: v for k, v in zip(LABELS, one, strict=True) if v} for one in values]
    assert label_sets(exposition) == wanted


@given(value=texts)
def test_a_hostile_label_value_does_not_affect_the_buckets_of_a_histogram(
    probe: Probe, value: str
) -> None:
    request = family("histogram", "wait", [([value], [1.0])], ["queue"], buckets=[0.5, 2.0])
    (metric,) = parsed(probe.expose(request))
    own = {"queue": value} if value else {}
    assert [(s.name, s.labels, s.value) for s in metric.samples] == [
        ("wait_bucket", own | {"le": "0.5"}, 0),
        ("wait_bucket", own | {"le": "2.0"}, 1),
        ("wait_bucket", own | {"le": "+Inf"}, 1),
        ("wait_sum", own, 1),
        ("wait_count", own, 1),
    ]


@given(values=st.dictionaries(st.sampled_from(LABELS), texts, min_size=1))
def test_a_hostile_value_of_an_info_is_read_back_unchanged(probe: Probe, values: dict[str, str]) -> None:
    request = family("info", "build", [(list(values.values()), [])], values.keys())
    exposition = probe.expose(request)
    assert label_sets(exposition) == [{k: v for k, v in values.items() if v}]


# Each example runs a program, so there are few, and a failure is reported without shrinking.
@settings(max_examples=20, phases=[Phase.generate])
@given(values=st.lists(texts, min_size=20, max_size=60, unique=True))
def test_promtool_accepts_hostile_label_values(probe: Probe, values: list[str]) -> None:
    series = [([value], [1.0]) for value in values + VALUES]
    exposition = probe.expose(family("gauge", "depth", series, ["queue"]))
    assert promtool_findings(exposition) == ""


def test_canonically_equivalent_texts_are_different_series(probe: Probe) -> None:
    # Swift compares text by canonical equivalence, Prometheus by bytes.
    values = ["\u00e9", "e\u0301", "\u212b", "\u00c5", "A\u030a", "\uac00", "\u1100\u1161"]
    series = [([value], [float(number)]) for number, value in enumerate(values)]
    exposition = probe.expose(family("gauge", "depth", series, ["queue"]))
    assert [labels["queue"] for labels in label_sets(exposition)] == values


def cut(value: str) -> str:
    """A value that is too long, truncated as docs/cardinality.md describes: its beginning and a
    hash."""
    hash_of_all = 0xCBF29CE484222325
    for byte in value.encode():
        hash_of_all = (hash_of_all ^ byte) * 0x100000001B3 % 2**64
    kept = value.encode()[: LONGEST_VALUE - len("\u2026".encode()) - 16]
    return f"{kept.decode(errors='ignore')}\u2026{hash_of_all:016x}"


@pytest.mark.parametrize("part", ["0123456789abcde\n", "\u20ac", "\U0001f600", '"', "\\"])
def test_a_label_value_of_a_million_bytes_is_cut_and_counted(probe: Probe, part: str) -> None:
    value = part * (1_000_000 // len(part.encode()))
    request = family("gauge", "depth", [([value], [1.0]), ([value + "x"], [2.0])], ["queue"])
    metrics = {metric.name: metric for metric in parsed(probe.expose(request, reports_itself=True))}
    shown = [sample.labels["queue"] for sample in metrics["depth"].samples]
    assert shown == [cut(value), cut(value + "x")]
    (counted,) = metrics["outrider_label_values_cut"].samples
    assert counted.value == 2
