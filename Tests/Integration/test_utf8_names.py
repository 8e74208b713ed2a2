# SPDX-License-Identifier: Apache-2.0
"""UTF-8 names: exposed unchanged to servers that support them, and escaped without collisions for
others."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

import protobuf_exposition
from accept_headers import ESCAPINGS, OM
from probe_programs import Probe, ServingProbe, family
from prometheus_releases import Release
from prometheus_server import Prometheus
from protobuf_exposition import ASKS_PROTOBUF, families

TEXT_0 = "text/plain;version=0.0.4"
FORMATS = {"text": TEXT_0, "openmetrics": f"{OM};version=1.0.0", "protobuf": ASKS_PROTOBUF}
each_scheme = pytest.mark.parametrize("scheme", ESCAPINGS)
each_format = pytest.mark.parametrize("kind", FORMATS)

LEGACY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")


def escaped(name: str, scheme: str, more: str = "") -> str:
    """A name escaped as the scheme's documentation defines; `more` adds allowed characters."""
    allowed = LEGACY | set(more)
    is_legacy = all(c in allowed for c in name) and not name[0].isdecimal()
    if scheme == "allow-utf-8" or is_legacy:
        return name
    parts = []
    for index, character in enumerate(name):
        is_allowed = character in allowed and (index > 0 or not character.isdecimal())
        if scheme == "underscores":
            parts.append(character if is_allowed else "_")
        elif character == "_":
            parts.append("__")
        elif scheme == "dots" and character == ".":
            parts.append("_dot_")
        elif is_allowed:
            parts.append(character)
        else:
            parts.append("__" if scheme == "dots" else f"_{ord(character):x}_")
    return ("U__" if scheme == "values" else "") + "".join(parts)


def escaped_label(name: str, scheme: str) -> str:
    """A label name in a scheme; a name reserved by Prometheus is escaped as in `values`."""
    own = escaped(name, scheme)
    return escaped(name, "values") if own.startswith("__") else own


def shown(probe: Probe, kind: str, scheme: str, *requests: dict[str, Any]) -> dict[Any, float]:
    """The samples of a scrape in a format and a scheme, read by a third-party parser."""
    accept = f"{FORMATS[kind]};escaping={scheme}"
    response = probe.respond(*requests, accept=accept, utf8_names=True)
    assert response.content_type.endswith(f"; escaping={scheme}")
    if kind == "protobuf":
        return dict(protobuf_exposition.samples(families(response.body)))
    parse = open_metrics if kind == "openmetrics" else text_format
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for metric in parse(response.text)
        for one in metric.samples
    }


CASES = {
    "http.server.requests": ["http.route", "method"],
    "größe": ["x"],
    "1st": ["2nd"],
    'a "quoted" \\ name': ['label "quoted" \\'],
    "lines\nof text": ["label\nlines"],
    "with.dots_and_lines": ["a.b_c"],
    "a=b": ["c=d", 'e="f",g'],
    "{x}": ["y}"],
    "日本語": ["ラベル", "状態…"],
    "minus": ["--name--"],
    "😀": ["é"],
    "legacy_name": ["not.legacy"],
    "not.legacy": ["legacy_label"],
    "a:b": ["a:b"],
}


@pytest.mark.compute
@each_format
@each_scheme
@pytest.mark.parametrize("name", CASES)
def test_each_scheme_escapes_as_documented(
    probe: Probe, name: str, scheme: str, kind: str
) -> None:
    labels = CASES[name]
    values = ['v "1" \\', *(["2"] * len(labels))][: len(labels)]
    requests = [
        family("counter", name, [(values, [3.0])], labels),
        family("histogram", f"h {name}", [(values, [0.5])], labels, buckets=[1.0]),
        family("gauge", f"g {name}", [([], [7.0])]),
    ]
    own = {escaped_label(label, scheme): value for label, value in zip(labels, values, strict=True)}
    found = shown(probe, kind, scheme, *requests)

    def sample(base: str, suffix: str, **more: str) -> Any:
        return escaped(base, scheme, ":") + suffix, frozenset((own | more).items())

    expected = {
        sample(name, "_total"): 3.0,
        sample(f"h {name}", "_bucket", le="1.0"): 1.0,
        sample(f"h {name}", "_bucket", le="+Inf" if kind != "protobuf" else "inf"): 1.0,
        sample(f"h {name}", "_sum"): 0.5,
        sample(f"h {name}", "_count"): 1.0,
        (escaped(f"g {name}", scheme, ":"), frozenset()): 7.0,
    }
    assert found == expected


@pytest.mark.compute
@settings(max_examples=150)
@given(
    # Escaped, a character takes up to nine bytes, and a name has at most 1,024.
    name=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=100
    ),
    scheme=st.sampled_from(ESCAPINGS),
)
def test_any_text_is_a_name_that_every_parser_reads(probe: Probe, name: str, scheme: str) -> None:
    request = family("gauge", f"x{name}", [(["v"], [1.0])], [f"k{name}"])
    wanted = {
        (escaped(f"x{name}", scheme, ":"), frozenset({(escaped_label(f"k{name}", scheme), "v")})): 1.0
    }
    # The text parser strips names and splits lines as Python does; protoc does not.
    assert shown(probe, "protobuf", scheme, request) == wanted
    if name.isprintable() and name.strip() == name and not set(name) & set('"\\{},=#'):
        assert shown(probe, "text", scheme, request) == wanted


@pytest.mark.compute
def test_names_that_escape_to_the_same_text_are_rejected(probe: Probe) -> None:
    pairs = [("a.b", "a_b"), ("a.b", "a b"), ("a.b", "a_dot_b"), ("a.b", "U__a_2e_b"), ("é", "_")]
    for first, second in pairs:
        for one, other in ((first, second), (second, first)):
            response = probe.respond(
                family("gauge", one, [([], [1.0])]),
                family("gauge", other, [([], [2.0])]),
                utf8_names=True,
                reports_itself=True,
            )
            values = {
                sample.name: sample.value
                for metric in response.families
                for sample in metric.samples
                if sample.labels.get("reason") in (None, "name_taken")
            }
            assert values["outrider_registrations_refused_total"] == 1, (one, other)
            assert 2.0 not in [
                value for name, value in values.items() if not name.startswith("outrider")
            ]


@pytest.mark.compute
def test_labels_that_escape_to_the_same_text_are_rejected(probe: Probe) -> None:
    for labels in (["a.b", "a_b"], ["a.b", "a_dot_b"], ["__x"], ["l.e", "l_e"], [""]):
        response = probe.respond(
            family("gauge", "g", [(["1"] * len(labels), [1.0])], labels), utf8_names=True
        )
        assert response.body == b"", labels


@pytest.mark.compute
def test_utf8_names_are_rejected_unless_the_registry_allows_them(probe: Probe) -> None:
    response = probe.respond(family("gauge", "a.b", [([], [1.0])]))
    assert response.body == b""


# MARK: Prometheus


@pytest.fixture(scope="module", name="scraped")
def fixture_scraped(
    prometheus_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A server of each release that scrapes UTF-8 names in each scheme that it supports."""
    knows = prometheus_release.knows("metric_name_escaping_scheme")
    schemes = ESCAPINGS if knows else ["own choice"]
    options = {one: {"metric_name_escaping_scheme": one} for one in schemes} if knows else {}
    with ServingProbe(OUTRIDER_METRIC_NAMES="utf8") as probe:
        targets = {one: f"{probe.target}/metrics" for one in schemes}
        with Prometheus(
            tmp_path_factory.mktemp("utf8"), targets, of=prometheus_release, options=options,
            interval="2s",
        ) as server:
            yield server


@pytest.mark.wait
def test_prometheus_stores_the_names_of_each_scheme(
    scraped: Prometheus, prometheus_release: Release
) -> None:
    knows = prometheus_release.knows("metric_name_escaping_scheme")
    for scheme in ESCAPINGS if knows else ["own choice"]:
        how = scheme if knows else ESCAPINGS[0 if prometheus_release.version >= (3, 0) else 1]
        name = f"{escaped('probe.größe.bytes', how)}_count"
        selector = f'{{__name__="{name}",job="{scheme}"}}'
        (sample,) = scraped.await_samples(selector)
        assert sample["metric"][escaped("http.route", how)] == '/a "b"'
        assert sample["metric"]["plain"] == "x"
        assert float(sample["value"][1]) >= 1
