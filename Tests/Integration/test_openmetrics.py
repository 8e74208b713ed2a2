# SPDX-License-Identifier: Apache-2.0
"""OpenMetrics, read by a strict third-party parser: every sample is present and unchanged."""

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from prometheus_client.samples import Sample

from exposition import ASKS_OPENMETRICS, OPENMETRICS, Exposition, Key, key, samples_of
from harness import Quickstart, poll
from http_client import send_get
from probe_programs import Probe, ServingProbe, family
from registries import (
    EXEMPLAR_LIMIT,
    Expected,
    exemplar_size,
    registry,
    same,
    spelled,
    without_empty,
)

pytestmark = pytest.mark.compute

# A process's clock may lag behind another's by a tick of the kernel.
TICK = 0.05


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProbe]:
    """An agent with metrics of every kind."""
    with ServingProbe(filler=20) as probe:
        yield probe


def keyed(response: Exposition) -> dict[Key, Sample]:
    """The samples of a response, with the bounds of buckets in a canonical spelling."""
    found = {}
    for (name, labels), sample in samples_of(response.families).items():
        one = dict(labels)
        if name.endswith("_bucket") and "le" in one:
            one.update([spelled(float(one["le"]))])
        found[key(name, one.items())] = sample
    return found


def openmetrics(probe: Probe, wanted: list[Expected], creation_times: bool = False) -> Exposition:
    """The OpenMetrics exposition of a registry with these families."""
    requests = [one.request for one in wanted]
    response = probe.respond(*requests, accept=ASKS_OPENMETRICS, creation_times=creation_times)
    assert response.content_type == OPENMETRICS
    return response


@given(wanted=registry())
def test_every_value_is_read_back_unchanged(probe: Probe, wanted: list[Expected]) -> None:
    found = keyed(openmetrics(probe, wanted))
    expected = {name: value for one in wanted for name, value in one.samples.items()}
    optional = {name for one in wanted for name in one.optional}
    assert set(found) <= set(expected)
    assert set(expected) - set(found) <= optional
    assert all(same(float(one.value), expected[name]) for name, one in found.items())


@given(wanted=registry())
def test_both_formats_agree_on_every_value(probe: Probe, wanted: list[Expected]) -> None:
    found = keyed(openmetrics(probe, wanted))
    text = keyed(probe.respond(*(one.request for one in wanted)))
    optional = {name for one in wanted for name in one.optional}
    assert set(found) <= set(text)
    assert set(text) - set(found) <= optional
    assert all(same(float(one.value), float(text[name].value)) for name, one in found.items())


@given(wanted=registry())
def test_name_type_unit_and_help_are_read_back_unchanged(
    probe: Probe, wanted: list[Expected]
) -> None:
    families = {one.name: one for one in openmetrics(probe, wanted).families}
    assert set(families) == {one.name for one in wanted}
    for one in wanted:
        found = families[one.name]
        assert found.type == one.type
        assert found.documentation == one.help_text
        if one.unit in ("_seconds", "_bytes"):
            assert found.unit == one.unit[1:]
        else:
            assert found.unit in ("", one.unit[1:])


@given(wanted=registry())
def test_every_exemplar_was_recorded(probe: Probe, wanted: list[Expected]) -> None:
    start = time.time()
    found = keyed(openmetrics(probe, wanted))
    end = time.time()
    given_ones = {name: labels for one in wanted for name, labels in one.exemplars.items()}
    recorded = {name: numbers for one in wanted for name, numbers in one.recorded.items()}
    for name, sample in found.items():
        if sample.exemplar is None:
            continue
        assert not any("\0" in value for value in sample.exemplar.labels.values())
        assert without_empty(sample.exemplar.labels) == without_empty(given_ones[name])
        assert exemplar_size(sample.exemplar.labels) <= EXEMPLAR_LIMIT
        assert any(same(float(sample.exemplar.value), number) for number in recorded[name])
        if sample.exemplar.timestamp is not None:
            assert start - TICK <= float(sample.exemplar.timestamp) <= end + TICK
    shown = {series_of(name) for name, sample in found.items() if sample.exemplar}
    assert {series_of(name) for one in wanted for name in one.promised_exemplars()} <= shown


def series_of(name: Key) -> Key:
    """The common key of a histogram's buckets; the key of any other sample is unchanged."""
    return key(name[0], [pair for pair in name[1] if pair[0] != "le"])


@given(wanted=registry())
def test_creation_times_lie_between_the_start_and_now(
    probe: Probe, wanted: list[Expected]
) -> None:
    start = time.time()
    found = keyed(openmetrics(probe, wanted, creation_times=True))
    end = time.time()
    created = {name: one for name, one in found.items() if name[0].endswith("_created")}
    expected: set[Key] = set()
    for one in wanted:
        suffix = {"counter": "_total", "histogram": "_count"}.get(one.kind)
        series = [labels for name, labels in one.samples if suffix and name == one.name + suffix]
        expected |= {key(f"{one.name}_created", labels) for labels in series}
    assert expected <= set(created)
    assert all(start - TICK <= one.value <= end + TICK for one in created.values())
    # They are the only addition.
    without = keyed(openmetrics(probe, wanted))
    assert set(found) - set(created) == set(without)


@given(wanted=registry())
def test_creation_times_are_off_by_default(
    probe: Probe, wanted: list[Expected]
) -> None:
    families = openmetrics(probe, wanted).families
    names = {one.name for one in wanted}
    created = [s.name for f in families for s in f.samples if s.name.endswith("_created")]
    assert set(created) <= names


def test_an_invalid_value_of_a_callback_does_not_break_the_exposition(probe: Probe) -> None:
    for number in (math.nan, -1.0, -math.inf, math.inf):
        requests = [
            family("callbackCounter", "odd", [([], [number])]),
            family("gauge", "even", [([], [2.0])]),
        ]
        found = samples_of(probe.respond(*requests, accept=ASKS_OPENMETRICS).families)
        assert found[key("even", [])].value == 2


@pytest.mark.parametrize("kind", ["gauge", "counter", "histogram", "info"])
def test_an_empty_help_text_is_accepted(probe: Probe, kind: str) -> None:
    labels, values = (["a"], ["b"]) if kind == "info" else ([], [])
    request = family(kind, "quiet", [(values, [1.0])], labels, help_text="")
    (found,) = probe.respond(request, accept=ASKS_OPENMETRICS).families
    assert (found.name, found.documentation, found.type) == ("quiet", "", kind)


def test_quotation_marks_in_help_texts_are_escaped_in_openmetrics_only(probe: Probe) -> None:
    # Parsers tolerate an unescaped one, so this compares the bytes.
    request = family("gauge", "level", [([], [1.0])], help_text='a "b" \\ c\nd')
    line = r'# HELP level a "b" \\ c\nd'
    assert line in probe.respond(request).text.split("\n")
    escaped = line.replace('"', r"\"")
    assert escaped in probe.respond(request, accept=ASKS_OPENMETRICS).text.split("\n")


def test_an_empty_registry_is_a_valid_exposition(probe: Probe) -> None:
    assert probe.respond(accept=ASKS_OPENMETRICS).body == b"# EOF\n"


def test_the_strict_parser_reads_an_agent(serving: ServingProbe) -> None:
    response = send_get(serving.url, accept=ASKS_OPENMETRICS)
    assert response.is_openmetrics
    families = {one.name: one for one in response.families}
    assert families["probe_requests"].type == "counter"
    assert families["probe_duration_seconds"].type == "histogram"
    assert families["probe_duration_seconds"].unit == "seconds"
    assert families["probe"].type == "info"
    assert len(families["probe_filler"].samples) == 20
    found = samples_of(response.families.copy())
    exemplar = found[key("probe_requests_total", [("route", "/a")])].exemplar
    assert exemplar is not None
    assert exemplar.labels == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    buckets = [one for one in families["probe_duration_seconds"].samples if one.exemplar]
    assert len(buckets) >= 2
    assert all(set(one.exemplar.labels) == {"trace_id"} for one in buckets if one.exemplar)


def test_both_formats_of_an_agent_have_the_same_samples(serving: ServingProbe) -> None:
    def names_agree() -> bool | None:
        # Series of the process, such as those of its threads, come and go.
        both = [samples_of(send_get(serving.url, accept=a).families) for a in (None, ASKS_OPENMETRICS)]
        return set(both[0]) == set(both[1]) or None

    poll("both formats have the same samples", names_agree)
    values = [
        {n: s.value for n, s in samples_of(send_get(serving.url, accept=a).families).items()}
        for a in (None, ASKS_OPENMETRICS)
    ]
    own = [name for name in values[0] if name[0].startswith("probe_")]
    assert own
    assert all(values[0][name] == values[1][name] for name in own)


def test_the_strict_parser_reads_the_quickstart(quickstart: Quickstart) -> None:
    wanted = {"orders_placed", "http_server_request_duration_seconds"}

    def attempt() -> Exposition | None:
        response = send_get(quickstart.agent, accept=ASKS_OPENMETRICS)
        busy = {one.name for one in response.families if one.samples}
        return response if wanted <= busy else None

    response = poll("the quickstart has had orders", attempt)
    assert response.is_openmetrics
    families = {one.name: one for one in response.families}
    assert all(one.documentation for one in families.values())
    assert {one.type for one in families.values()} <= {"counter", "gauge", "histogram", "info"}
    assert families["http_server_request_duration_seconds"].unit == "seconds"
    assert families["process_cpu_seconds"].type == "counter"
    assert families["process_resident_memory_bytes"].unit == "bytes"
