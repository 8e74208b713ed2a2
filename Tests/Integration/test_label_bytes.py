# SPDX-License-Identifier: Apache-2.0
"""Label values given as bytes, such as a peer sends, are repaired where they are not UTF-8."""

import base64
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hostile_text import texts
from probe_programs import Probe, bits

pytestmark = pytest.mark.compute

# Two of these with a replacement character stay within the maximum length; longer values are
# truncated (test_label_values.py).
short = texts.map(lambda text: text[:100])

# Arbitrary bytes, and text that lost some bytes at either end.
damaged = st.builds(
    lambda text, start, end: text.encode()[start : len(text.encode()) - end],
    short,
    st.integers(0, 3),
    st.integers(0, 3),
)
raw_values = st.one_of(st.binary(max_size=64), damaged)


def counter(series: list[list[bytes]], labels: list[str]) -> dict[str, Any]:
    """A counter whose label values are given as bytes."""
    return {
        "kind": "counter",
        "name": "requests_total",
        "help": "Requests.",
        "labels": labels,
        "series": [
            {"utf8": [base64.b64encode(value).decode() for value in values], "numbers": [bits(1.0)]}
            for values in series
        ],
    }


def parsed(exposition: bytes) -> dict[str, Metric]:
    """The families by name; the exposition must be UTF-8."""
    text = exposition.decode("utf-8")
    return {metric.name: metric for metric in text_string_to_metric_families(text)}


def repairs(families: dict[str, Metric]) -> float:
    """The number of values that the library reports as repaired."""
    return families["outrider_label_values_repaired"].samples[0].value


@given(raw=raw_values)
@example(b"\xff")
@example(b"\xc0\x80")
@example(b"\xed\xa0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\xe2\x82")
def test_bytes_are_exposed_as_their_text_or_repaired(probe: Probe, raw: bytes) -> None:
    families = parsed(probe.expose(counter([[raw]], ["path"]), reports_itself=True))
    (sample,) = families["requests"].samples
    value = sample.labels.get("path", "")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        assert "\ufffd" in value
        assert repairs(families) == 1
    else:
        assert value == text
        assert repairs(families) == 0


@given(raw=st.tuples(raw_values, raw_values, raw_values))
def test_a_repaired_value_does_not_affect_its_neighbours(
    probe: Probe, raw: tuple[bytes, bytes, bytes]
) -> None:
    labels = ["a", "b", "c"]
    families = parsed(probe.expose(counter([list(raw)], labels)))
    (sample,) = families["requests"].samples
    for label, value in zip(labels, raw, strict=True):
        shown = sample.labels.get(label, "")
        if "\ufffd" not in shown:
            assert shown.encode() == value


@given(prefix=short, suffix=short)
def test_text_around_an_invalid_byte_is_kept(probe: Probe, prefix: str, suffix: str) -> None:
    raw = prefix.encode() + b"\xff" + suffix.encode()
    (sample,) = parsed(probe.expose(counter([[raw]], ["path"])))["requests"].samples
    assert sample.labels == {"path": f"{prefix}\ufffd{suffix}"}
