# SPDX-License-Identifier: Apache-2.0
"""Exemplars reach a real Prometheus, and overlong ones do no harm."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from exposition import ASKS_OPENMETRICS, Exposition, key, samples_of
from harness import poll
from hostile_text import FRAGMENTS
from http_client import send_get
from probe_programs import Probe, ServingProbe, family
from prometheus_releases import Release
from prometheus_server import Prometheus, StaticPages
from registries import EXEMPLAR_LIMIT, exemplar_size

STORES = "--enable-feature=exemplar-storage"
TRACE = "0af7651916cd43dd8448eb211c80319c"

# No Prometheus up to 3.5 can read an exemplar that contains NUL: it would lose the whole scrape.
UNREADABLE = [value for part in FRAGMENTS for value in (f"{part}\0", f"a\0{part}")]
LOW = [chr(code) for code in range(1, 0x3000)] + [chr(0x10000 + 0x777 * n) for n in range(400)]
HOSTILE = [part for part in FRAGMENTS if "\0" not in part]
HOSTILE += ["".join(LOW[start : start + 120]) for start in range(0, len(LOW), 120)]


def exemplar_page(probe: Probe, values: list[str]) -> Exposition:
    """A counter for each text, with the text as the value of its exemplar's label."""
    series = [([str(number)], [1.0]) for number in range(len(values))]
    exemplars = [{"text": value} for value in values]
    request = family("counter", "hostile_total", series, ["index"], exemplars=exemplars)
    return probe.respond(request, accept=ASKS_OPENMETRICS)


@pytest.fixture(scope="module")
def serving(prometheus_release: Release) -> Iterator[ServingProbe]:
    """An agent whose metrics have exemplars: a new one for each Prometheus."""
    assert prometheus_release
    with ServingProbe() as probe:
        yield probe


@pytest.fixture(scope="module")
def server(
    serving: ServingProbe,
    probe: Probe,
    prometheus_release: Release,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """A Prometheus of each release that stores exemplars."""
    folder = tmp_path_factory.mktemp("exemplars")
    pages = {"hostile": exemplar_page(probe, HOSTILE), "nul": exemplar_page(probe, UNREADABLE)}
    with StaticPages({f"/{name}": page for name, page in pages.items()}) as web:
        jobs = {name: f"{web.target}/{name}" for name in pages}
        jobs["serve"] = f"{serving.target}/metrics"
        release, interval = prometheus_release, "2s"
        with Prometheus(folder, jobs, of=release, flags=[STORES], interval=interval) as prometheus:
            # Waits for the first exemplars, before others replace them.
            await_exemplars(prometheus, "probe_requests_total")
            yield prometheus


def await_exemplars(server: Prometheus, expression: str) -> list[dict[str, Any]]:
    """Waits until an expression has exemplars, and returns them."""
    return poll(f"{expression} has exemplars", lambda: server.exemplars(expression) or None)


@pytest.mark.wait
def test_the_exemplar_of_a_counter_arrives(server: Prometheus) -> None:
    found = await_exemplars(server, "probe_requests_total")
    first = found[0]
    assert first["labels"] == {"trace_id": TRACE}
    series = {"__name__": "probe_requests_total", "job": "serve", "route": "/a"}
    assert series.items() <= first["series"].items()
    assert float(first["value"]) > 0


@pytest.mark.wait
def test_the_exemplars_of_a_histogram_arrive_in_several_buckets(server: Prometheus) -> None:
    def attempt() -> list[dict[str, Any]] | None:
        found = server.exemplars("probe_duration_seconds_bucket")
        return found if len({one["series"]["le"] for one in found}) >= 2 else None

    found = poll("two buckets have exemplars", attempt)
    samples = server.await_samples('probe_duration_seconds_bucket{job="serve"}')
    bounds = sorted({float(sample["metric"]["le"]) for sample in samples})
    lower = {upper: below for below, upper in itertools.pairwise([float("-inf"), *bounds])}
    for one in found:
        assert re.fullmatch(r"[0-9a-f]{32}", one["labels"]["trace_id"])
        upper = float(one["series"]["le"])
        assert lower[upper] < float(one["value"]) <= upper


@pytest.mark.wait
def test_a_new_exemplar_replaces_an_old_one(
    server: Prometheus, serving: ServingProbe
) -> None:
    before = traces(serving)

    def attempt() -> set[str] | None:
        # Exemplars are sampled, so not every observation leaves one.
        serving.record()
        return traces(serving) - before or None

    new = poll("there is a new exemplar", attempt)
    everything = '{__name__=~"probe_.+", job="serve"}'

    def arrived() -> bool | None:
        found = {one["labels"]["trace_id"] for one in server.exemplars(everything)}
        return bool(new & found) or None

    assert poll("Prometheus has the new exemplar", arrived)
    # Prometheus still has the old one, with its time.
    assert any(one["labels"] == {"trace_id": TRACE} for one in server.exemplars(everything))


def traces(serving: ServingProbe) -> set[str]:
    """The trace IDs in the current exposition."""
    families = send_get(serving.url, accept=ASKS_OPENMETRICS).families
    exemplars = [sample.exemplar for one in families for sample in one.samples]
    return {one.labels["trace_id"] for one in exemplars if one is not None}


@pytest.mark.wait
def test_prometheus_returns_hostile_exemplars_unchanged(server: Prometheus) -> None:
    server.await_up("hostile")
    query = 'hostile_total{job="hostile"}'
    assert len(server.await_samples(query)) == len(HOSTILE)

    def attempt() -> list[dict[str, Any]] | None:
        found = server.exemplars(query)
        return found if len(found) >= len(HOSTILE) else None

    found = poll("every exemplar has arrived", attempt)
    arrived = {int(one["series"]["index"]): one["labels"]["text"] for one in found}
    assert set(arrived) == set(range(len(HOSTILE)))
    for index, value in arrived.items():
        # Prometheus stores the escape sequences of an exemplar undecoded; a later release may
        # decode them.
        assert value in (HOSTILE[index], escaped(HOSTILE[index]))


def escaped(value: str) -> str:
    """A label value as it is written between quotation marks."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@pytest.mark.wait
def test_an_unreadable_exemplar_does_not_lose_the_scrape(server: Prometheus) -> None:
    server.await_up("nul")
    assert len(server.await_samples('hostile_total{job="nul"}')) == len(UNREADABLE)


@pytest.mark.compute
def test_the_text_format_has_no_exemplars() -> None:
    with ServingProbe() as serving:
        assert TRACE in send_get(serving.url, accept=ASKS_OPENMETRICS).text
        text = send_get(serving.url).text
    assert TRACE not in text
    assert "trace_id" not in text


LONG = {
    "one label": {"trace_id": "x" * (EXEMPLAR_LIMIT - 8 + 1)},
    "two labels": {"trace_id": "x" * 60, "span_id": "y" * 54},
    "a long name": {"n" * 100: "x" * 29},
    "beyond ASCII": {"a": "\U0001f600" * EXEMPLAR_LIMIT},
    # Half as many characters for a parser that counts grapheme clusters.
    "combining marks": {"a": "e\u0301" * 64},
    "a megabyte": {"a": "x" * (1 << 20)},
}
FITTING = {
    "one label": {"trace_id": "x" * (EXEMPLAR_LIMIT - 8)},
    "two labels": {"trace_id": "x" * 60, "span_id": "y" * 53},
    "a long name": {"n" * 100: "x" * 28},
    # Too long for a parser that counts bytes: these are 509.
    "beyond ASCII": {"a": "\U0001f600" * (EXEMPLAR_LIMIT - 1)},
    "combining marks": {"ab": "e\u0301" * 63},
}


def with_exemplar(probe: Probe, exemplar: dict[str, str]) -> Exposition:
    """A counter and a histogram with one observation each, with the same exemplar."""
    one = [exemplar]
    return probe.respond(
        family("counter", "jobs_total", [([], [2.0])], exemplars=one),
        family("histogram", "wait_seconds", [([], [0.3])], buckets=[0.1, 1.0], exemplars=one),
        accept=ASKS_OPENMETRICS,
    )


@pytest.mark.compute
@pytest.mark.parametrize("exemplar", LONG.values(), ids=LONG)
def test_an_overlong_exemplar_is_dropped_but_its_observation_counts(
    probe: Probe, exemplar: dict[str, str]
) -> None:
    assert exemplar_size(exemplar) > EXEMPLAR_LIMIT
    found = samples_of(with_exemplar(probe, exemplar).families)
    assert found[key("jobs_total", [])].value == 2
    assert found[key("wait_seconds_count", [])].value == 1
    assert found[key("wait_seconds_sum", [])].value == 0.3
    assert all(sample.exemplar is None for sample in found.values())


@pytest.mark.compute
@pytest.mark.parametrize("exemplar", FITTING.values(), ids=FITTING)
def test_an_exemplar_of_the_maximum_length_is_exposed(probe: Probe, exemplar: dict[str, str]) -> None:
    assert exemplar_size(exemplar) <= EXEMPLAR_LIMIT
    found = samples_of(with_exemplar(probe, exemplar).families)
    shown = {name: sample.exemplar for name, sample in found.items() if sample.exemplar}
    assert set(shown) == {key("jobs_total", []), key("wait_seconds_bucket", [("le", "1.0")])}
    assert [one.labels for one in shown.values()] == [exemplar, exemplar]
    assert sorted(one.value for one in shown.values()) == [0.3, 2]


@pytest.mark.compute
def test_an_overlong_exemplar_does_not_affect_other_series(probe: Probe) -> None:
    exemplars = [{"trace_id": "x" * 500}, {"trace_id": "short"}, None]
    series = [([str(number)], [1.0]) for number in range(3)]
    request = family("counter", "jobs_total", series, ["n"], exemplars=exemplars)
    found = samples_of(probe.respond(request, accept=ASKS_OPENMETRICS).families)
    shown = [sample.exemplar and sample.exemplar.labels for sample in found.values()]
    assert shown == [None, {"trace_id": "short"}, None]


@pytest.mark.compute
def test_a_rejected_observation_leaves_no_exemplar(probe: Probe) -> None:
    exemplar = {"trace_id": TRACE}
    requests = [
        family("counter", "jobs_total", [([], [-1.0])], exemplars=[exemplar]),
        family("histogram", "wait_seconds", [([], [float("nan")])], exemplars=[exemplar]),
    ]
    response = probe.respond(*requests, accept=ASKS_OPENMETRICS)
    assert TRACE not in response.text
    assert samples_of(response.families)[key("jobs_total", [])].value == 0
