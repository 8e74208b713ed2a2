# SPDX-License-Identifier: Apache-2.0
"""Numbers are read back bit for bit."""

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from probe_programs import Probe, bits, family

pytestmark = pytest.mark.compute

numbers = st.floats()
finite = st.floats(allow_nan=False, allow_infinity=False)
bounds = st.lists(finite, min_size=1, max_size=40, unique=True).map(sorted)


def values_of(exposition: bytes) -> list[float]:
    """The values at the ends of the sample lines."""
    lines = exposition.decode("utf-8").split("\n")
    return [float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"]


def same(one: float, other: float) -> bool:
    """Whether two numbers have the same bits, or are both NaN."""
    return bits(one) == bits(other) or (math.isnan(one) and math.isnan(other))


def lone_family(exposition: bytes) -> Metric:
    """The only family of an exposition, read by a third-party parser."""
    (metric,) = text_string_to_metric_families(exposition.decode("utf-8"))
    return metric


@given(values=st.lists(numbers, min_size=1, max_size=20))
@example([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308])
@example([2.0**53, 2.0**53 + 2, 1e15, 1e16, 1e21, 1e22, 1e23, 123456789012345680.0, 0.1, 1e-7])
def test_a_gauge_is_read_back_bit_for_bit(probe: Probe, values: list[float]) -> None:
    series = [([str(number)], [value]) for number, value in enumerate(values, 1)]
    exposition = probe.expose(family("gauge", "level", series, ["tank"]))
    assert all(same(one, v) for one, v in zip(values_of(exposition), values, strict=True))
    # The parser converts whole numbers to integers, which loses a negative zero.
    parsed = [float(sample.value) for sample in lone_family(exposition).samples]
    assert all(one == v or same(one, v) for one, v in zip(parsed, values, strict=True))


@given(value=numbers)
def test_a_callback_gauge_is_read_back_bit_for_bit(probe: Probe, value: float) -> None:
    exposition = probe.expose(family("callbackGauge", "level", [([], [value])]))
    (shown,) = values_of(exposition)
    assert same(shown, value)


@given(value=st.floats(min_value=0.0))
def test_a_callback_counter_is_read_back_bit_for_bit(probe: Probe, value: float) -> None:
    exposition = probe.expose(family("callbackCounter", "spent", [([], [value])]))
    assert [sample.name for sample in lone_family(exposition).samples] == ["spent_total"]
    assert values_of(exposition) == [value]


@given(amounts=st.lists(st.floats(min_value=0.0, allow_infinity=False), max_size=20))
def test_a_counter_is_the_sum_of_its_increments(probe: Probe, amounts: list[float]) -> None:
    exposition = probe.expose(family("counter", "spent", [([], amounts)]))
    assert values_of(exposition) == [list(itertools.accumulate(amounts, initial=0.0))[-1]]


@given(bounds=bounds, observed=st.lists(finite, max_size=40), data=st.data())
def test_a_histogram_counts_every_observation_in_its_bucket(
    probe: Probe, bounds: list[float], observed: list[float], data: st.DataObject
) -> None:
    # A value equal to a bound belongs to its bucket.
    observed = observed + data.draw(st.lists(st.sampled_from(bounds), max_size=10))
    exposition = probe.expose(family("histogram", "size", [([], observed)], buckets=bounds))
    samples = lone_family(exposition).samples
    buckets = [sample for sample in samples if sample.name == "size_bucket"]
    # Minus zero is zero.
    ends = [*(bound + 0.0 for bound in bounds), math.inf]

    assert all(same(float(b.labels["le"]), end) for b, end in zip(buckets, ends, strict=True))
    assert [b.value for b in buckets] == [sum(v <= end for v in observed) for end in ends]
    assert all(one.value <= next_.value for one, next_ in itertools.pairwise(buckets))
    (count,) = [sample.value for sample in samples if sample.name == "size_count"]
    assert count == buckets[-1].value == len(observed)
    (total,) = [float(sample.value) for sample in samples if sample.name == "size_sum"]
    # Plain double additions in order; the total may overflow to infinity.
    wanted = list(itertools.accumulate(observed, initial=0.0))[-1]
    assert total == wanted or (math.isnan(total) and math.isnan(wanted))


@given(bounds=bounds)
@example([1.0, 10.0, 1e6, 1e15, 1e16, 1e21, 1e22])
@example([-5e-324, -0.0, 5e-324])
def test_a_bound_has_the_same_spelling_in_every_prometheus(
    probe: Probe, bounds: list[float]
) -> None:
    # Prometheus 3 stores le="1" as "1.0" and Prometheus 2 does not, so "1" is never written.
    exposition = probe.expose(family("histogram", "size", [([], [])], buckets=bounds))
    spelled = [s.labels["le"] for s in lone_family(exposition).samples if "le" in s.labels]
    assert all("." in le or "e" in le for le in spelled[:-1])
    assert spelled[-1] == "+Inf"
    assert len(set(spelled)) == len(bounds) + 1
