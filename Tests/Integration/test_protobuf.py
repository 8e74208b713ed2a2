# SPDX-License-Identifier: Apache-2.0
"""The protobuf format, decoded by protoc: it has every sample of the text format, plus native
histograms."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protobuf_exposition
from exposition import key
from probe_programs import Probe, bits, family
from protobuf_exposition import (
    ASKS_PROTOBUF,
    PROTOBUF,
    Message,
    families,
    native_buckets,
    only,
    upper_bound,
)
from registries import Expected, registry, same, without_empty

pytestmark = pytest.mark.compute


def scrape(probe: Probe, *requests: dict[str, Any]) -> list[Message]:
    """The exposition of a registry with these families."""
    response = probe.respond(*requests, accept=ASKS_PROTOBUF)
    assert response.content_type == PROTOBUF
    return families(response.body)


@settings(max_examples=150)
@given(wanted=registry())
def test_every_value_and_exemplar_is_read_back_unchanged(
    probe: Probe, wanted: list[Expected]
) -> None:
    decoded = scrape(probe, *(one.request for one in wanted))
    found = protobuf_exposition.samples(decoded)
    expected = {name: value for one in wanted for name, value in one.samples.items()}
    assert set(found) == set(expected)
    assert all(same(found[name], value) for name, value in expected.items())
    offered = {name: labels for one in wanted for name, labels in one.exemplars.items()}
    recorded = {name: numbers for one in wanted for name, numbers in one.recorded.items()}
    for name, (labels, value) in protobuf_exposition.exemplars(decoded).items():
        assert without_empty(labels) == without_empty(offered[name])
        assert value in recorded[name]


@settings(max_examples=100)
@given(wanted=registry())
def test_names_types_and_help_texts_equal_those_of_the_text_format(
    probe: Probe, wanted: list[Expected]
) -> None:
    decoded = scrape(probe, *(one.request for one in wanted))
    types = {"info": "GAUGE"}
    shown = {
        (only(one["name"]), only(one["help"], ""), only(one["type"], "COUNTER")) for one in decoded
    }
    names = {one.name: sorted(one.samples)[0][0] for one in wanted if one.samples}
    expected = {
        (
            one.name if one.kind == "histogram" else names[one.name],
            one.help_text,
            types.get(one.type, one.type.upper()),
        )
        for one in wanted
        if one.samples
    }
    assert shown == expected


def test_each_counter_and_histogram_has_a_creation_time(probe: Probe) -> None:
    decoded = scrape(
        probe, family("counter", "c", [([], [1.0])]), family("histogram", "h", [([], [1.0])])
    )
    for kind, one in zip(("counter", "histogram"), decoded, strict=True):
        (metric,) = one["metric"]
        created = only(only(metric[kind])["created_timestamp"])
        assert only(created["seconds"]) > 1_700_000_000


# MARK: Native histograms

SCHEMAS = range(-4, 9)
observations = st.lists(
    st.one_of(
        st.floats(min_value=1e-6, max_value=1e6),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 4.0, 1024.0, 5e-324, 1e-300, 2.0**-128]),
        st.builds(lambda power: 2.0**power, st.integers(-60, 60)),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9),
    ),
    max_size=40,
)


def native(
    name: str, numbers: list[float], schema: int, *, is_alone: bool = True, **more: Any
) -> dict[str, Any]:
    """A native histogram with these observations, in the probe's input format."""
    request = family("histogram", name, [([], numbers)])
    request["native"] = {"schema": schema, "isAlone": is_alone}
    for option, value in more.items():
        request["native"][option] = bits(value) if isinstance(value, float) else value
    return request


def histogram(decoded: list[Message]) -> Message:
    """The only histogram of a scrape."""
    ((metric,),) = [one["metric"] for one in decoded]
    return only(metric["histogram"])


def check_buckets(found: Message, numbers: list[float]) -> None:
    """Checks that each observation is in its bucket under the schema."""
    schema, threshold = only(found["schema"], 0), only(found["zero_threshold"], 0.0)
    buckets = {side: native_buckets(found, side) for side in ("positive", "negative")}
    zero = only(found["zero_count"], 0)
    assert zero + sum(sum(one.values()) for one in buckets.values()) == len(numbers)
    assert only(found["sample_count"], 0) == len(numbers)
    assert zero == sum(abs(number) <= threshold for number in numbers)
    for side, sign in (("positive", 1), ("negative", -1)):
        own = sorted(sign * one for one in numbers if sign * one > threshold)
        assert all(count > 0 for count in buckets[side].values())
        for index, count in buckets[side].items():
            low, high = upper_bound(schema, index - 1), upper_bound(schema, index)
            # Prometheus' computed bounds and ours may differ in the last digit.
            surely = sum(low * (1 + 1e-12) < one <= high * (1 - 1e-12) for one in own)
            perhaps = sum(low * (1 - 1e-12) < one <= high * (1 + 1e-12) for one in own)
            assert surely <= count <= perhaps, (schema, index)


@settings(max_examples=300)
@given(numbers=observations, schema=st.sampled_from(SCHEMAS), is_alone=st.booleans())
def test_each_observation_is_in_the_bucket_of_its_schema(
    probe: Probe, numbers: list[float], schema: int, is_alone: bool
) -> None:
    found = histogram(scrape(probe, native("h", numbers, schema, is_alone=is_alone)))
    check_buckets(found, numbers)
    assert only(found["schema"], 0) <= schema
    total = list(itertools.accumulate(numbers, initial=0.0))[-1]
    assert same(only(found["sample_sum"]), total)
    assert len(found["bucket"]) == (1 if is_alone else 15)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_power_of_two_is_the_upper_bound_of_its_bucket(probe: Probe, schema: int) -> None:
    powers = [2.0**power for power in (-16, -1, 0, 1, 16)]
    found = histogram(scrape(probe, native("h", powers, schema)))
    reached = only(found["schema"], 0)
    check_buckets(found, powers)
    if reached >= 0:
        wanted = [power * 2**reached for power in (-16, -1, 0, 1, 16)]
        assert sorted(native_buckets(found, "positive")) == wanted


def test_the_finest_schema_separates_close_values(probe: Probe) -> None:
    numbers = [1 + step / 1000 for step in range(100)]
    found = histogram(scrape(probe, native("h", numbers, 8)))
    assert only(found["schema"]) == 8
    check_buckets(found, numbers)


def test_a_histogram_without_observations_is_native_too(probe: Probe) -> None:
    found = histogram(scrape(probe, native("h", [], 3, zeroThreshold=0.0)))
    assert len(found["positive_span"]) == 1
    assert only(found["sample_count"], 0) == 0


@settings(max_examples=150)
@given(
    numbers=observations,
    schema=st.sampled_from(SCHEMAS),
    limit=st.integers(1, 12),
    widest=st.sampled_from([0.0, 1e-3, 10.0]),
)
def test_the_number_of_buckets_stays_within_the_limit(
    probe: Probe, numbers: list[float], schema: int, limit: int, widest: float
) -> None:
    request = native("h", numbers, schema, limit=limit, maximumZeroThreshold=widest)
    found = histogram(scrape(probe, request))
    check_buckets(found, numbers)
    count = len(native_buckets(found, "positive")) + len(native_buckets(found, "negative"))
    assert count <= limit or only(found["schema"], 0) == -4
    assert only(found["zero_threshold"]) <= max(widest, 2.0**-128)


def test_text_formats_have_the_sum_and_the_count_of_a_native_histogram(probe: Probe) -> None:
    numbers = [0.25, 0.5, 3.0]
    for accept in (None, "application/openmetrics-text;version=1.0.0"):
        response = probe.respond(native("h", numbers, 3), accept=accept)
        found = {(one.name, one.labels.get("le")): one.value for one in response.families[0].samples}
        assert found == {("h_bucket", "+Inf"): 3.0, ("h_sum", None): 3.75, ("h_count", None): 3.0}


@pytest.mark.parametrize(
    "native_buckets",
    [
        {"schema": 9},
        {"schema": -5},
        {"schema": 3, "limit": 0},
        {"schema": 3, "zeroThreshold": bits(-1.0)},
        {"schema": 3, "zeroThreshold": bits(math.nan)},
        {"schema": 3, "maximumZeroThreshold": bits(math.inf)},
    ],
    ids=str,
)
def test_invalid_buckets_are_rejected(
    probe: Probe, native_buckets: dict[str, Any]
) -> None:
    request = family("histogram", "h", [([], [1.0])])
    request["native"] = {"isAlone": True, **native_buckets}
    response = probe.respond(request, reports_itself=True)
    samples = {
        key(one.name, one.labels.items()): one.value
        for family in response.families
        for one in family.samples
    }
    refused = key("outrider_registrations_refused_total", [("reason", "invalid_buckets")])
    assert samples[refused] >= 1
    assert not any(name.startswith("h_") for name, _ in samples)
