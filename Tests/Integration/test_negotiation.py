# SPDX-License-Identifier: Apache-2.0
"""Content negotiation: every scrape gets a response, in the best format that the scraper
accepts."""

import gzip
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accept_headers import ACCEPT, ACCEPT_ENCODING, ESCAPINGS, OM, UTF8
from exposition import (
    ASKS_OPENMETRICS,
    OPENMETRICS,
    OPENMETRICS_0,
    TEXT,
    TEXT_1,
    Exposition,
)
from http_client import Fields, HTTPClient, only, open_client, send_get
from probe_programs import Probe, ServingProbe, family
from protobuf_exposition import PROTOBUF, families
from protobuf_exposition import only as only_value

pytestmark = pytest.mark.compute

FILLER = 200
# Families whose series do not change between two scrapes: one large, one small.
LARGE = only("probe_filler")
SMALL = only("probe_info")
MINIMUM = 1_400

each_accept = pytest.mark.parametrize("accept, content_type", ACCEPT.values(), ids=ACCEPT)
each_encoding = pytest.mark.parametrize(
    "encoding, compresses", ACCEPT_ENCODING.items(), ids=lambda value: str(value)[:40]
)


@pytest.fixture(scope="module")
def client() -> Iterator[HTTPClient]:
    """A connection to an agent with some kilobytes of metrics, shared by the tests of this file."""
    with ServingProbe(FILLER) as probe, open_client(probe.url) as connection:
        yield connection


def fields(accept: str | None = None, encoding: str | None = None) -> Fields:
    """The header fields of a request; one that is None is left out."""
    both = [("Accept", accept), ("Accept-Encoding", encoding)]
    return [(name, value) for name, value in both if value is not None]


def check(response: Exposition) -> None:
    """Properties of every response to a scrape."""
    assert response.status == 200
    assert response.header("Vary") == "Accept, Accept-Encoding"
    assert response.header("Cache-Control") == "no-store"
    assert response.header("Content-Length") == str(len(response.body))
    assert response.header("Transfer-Encoding") is None
    names = [name.lower() for name, _ in response.headers]
    assert len(names) == len(set(names)), f"duplicate header field: {response.headers}"
    if response.content_type != PROTOBUF:
        assert response.text.endswith("# EOF\n") == response.is_openmetrics
        assert response.text.count("# EOF\n") == int(response.is_openmetrics)


@each_accept
def test_each_accept_header_selects_its_preferred_format(
    client: HTTPClient, accept: str | None, content_type: str
) -> None:
    response = client.request(fields=fields(accept))
    check(response)
    assert response.content_type == content_type
    assert response.header("Content-Encoding") is None
    if content_type == PROTOBUF:
        names = {only_value(one["name"]) for one in families(response.body)}
        assert "probe_requests_total" in names
    else:
        assert any(family.name == "probe_requests" for family in response.families)


def test_several_accept_fields_are_combined(client: HTTPClient) -> None:
    both = [("Accept", "text/plain;q=0.5"), ("Accept", f"{OM};version=1.0.0")]
    for order in (both, both[::-1]):
        response = client.request(fields=order)
        check(response)
        assert response.content_type == OPENMETRICS


PIECES = [
    *(OM, "text/plain", "text/*", "*/*", "text/html", "*", "/", "application/*", "\u00e9", "\t"),
    *(",", ";", "=", " ", '"', "\\", "q", "q=", ";q=0", ";q=1", ";q=0.5", ";q=-0", ";q=1e9"),
    *(";version=1.0.0", ";version=0.0.1", ";version=0.0.4", ";version=", ";version"),
    *(f";escaping={one}" for one in ESCAPINGS),
    *(";escaping=", ";escaping=x", ";charset=utf-8", '"1.0.0"', ";q=0.", ";q=.5", ";q=00000"),
]
OFFERED = {
    base + escaping
    for base in (TEXT, TEXT_1, OPENMETRICS, OPENMETRICS_0)
    for escaping in ("", *(f"; escaping={one}" for one in ESCAPINGS))
}
headers = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(max_examples=400)
@given(accept=headers, encoding=st.one_of(headers, st.just("gzip")))
def test_no_header_is_ever_rejected_or_misread(
    client: HTTPClient, accept: str, encoding: str
) -> None:
    response = client.request(SMALL, fields(accept, encoding))
    check(response)
    assert response.content_type in OFFERED
    assert [sample.name for one in response.families for sample in one.samples] == ["probe_info"]


@each_encoding
def test_a_large_body_is_compressed_if_the_client_accepts_it(
    client: HTTPClient, encoding: str | None, compresses: bool
) -> None:
    response = client.request(LARGE, fields(ASKS_OPENMETRICS, encoding))
    check(response)
    assert response.header("Content-Encoding") == ("gzip" if compresses else None)
    assert (response.body[:2] == b"\x1f\x8b") == compresses
    plain = client.request(LARGE, fields(ASKS_OPENMETRICS))
    assert response.text.encode() == plain.body
    assert len(plain.body) >= MINIMUM
    assert (len(response.body) < len(plain.body) / 2) == compresses


def test_a_compressed_body_is_one_complete_gzip_member(client: HTTPClient) -> None:
    body = client.request(LARGE, fields(encoding="gzip")).body
    # The length at its end is that of the whole body (RFC 1952, section 2.3.1).
    assert int.from_bytes(body[-4:], "little") == len(gzip.decompress(body))


@pytest.mark.parametrize("encoding", ["gzip", "*", "gzip;q=1, identity;q=0"])
def test_a_small_body_is_never_compressed(client: HTTPClient, encoding: str) -> None:
    response = client.request(SMALL, fields(encoding=encoding))
    check(response)
    assert len(response.body) < MINIMUM
    assert response.header("Content-Encoding") is None


@pytest.mark.parametrize("accept", [None, ASKS_OPENMETRICS])
def test_a_body_is_compressed_from_1400_bytes(probe: Probe, accept: str | None) -> None:
    def scrape(padding: int) -> Exposition:
        request = family("gauge", "level", [([], [1.0])], help_text="x" * padding)
        return probe.respond(request, accept=accept, accept_encoding="gzip")

    rest = len(scrape(1).text) - 1
    for size in (MINIMUM - 1, MINIMUM, MINIMUM + 1):
        response = scrape(size - rest)
        assert len(response.text) == size
        assert response.header("Content-Encoding") == ("gzip" if size >= MINIMUM else None)


@pytest.mark.parametrize("path", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("encoding", [None, "gzip", "gzip;q=0"])
@pytest.mark.parametrize("accept", [None, ASKS_OPENMETRICS, f"{ASKS_OPENMETRICS};{UTF8}"])
def test_head_returns_the_header_fields_of_get(
    client: HTTPClient, path: str, encoding: str | None, accept: str | None
) -> None:
    asked = fields(accept, encoding)
    head = client.request(path, asked, method="HEAD")
    # On the same connection: an unexpected body would be read as this response.
    get = client.request(path, asked)
    check(get)
    assert head.status == 200
    assert head.body == b""
    own = [[field for field in one.headers if field[0] != "Date"] for one in (head, get)]
    assert own[0] == own[1]


def test_a_filtered_scrape_has_the_requested_families_only(client: HTTPClient) -> None:
    for accept in (None, ASKS_OPENMETRICS):
        path = only("probe_info", "probe_requests_total", "unknown_family")
        response = client.request(path, fields(accept))
        check(response)
        assert {one.name for one in response.families} <= {"probe_info", "probe", "probe_requests"}
        names = {sample.name for one in response.families for sample in one.samples}
        assert names == {"probe_info", "probe_requests_total"}


def test_a_scrape_of_unknown_families_is_empty_but_valid(client: HTTPClient) -> None:
    path = only("unknown_family")
    assert client.request(path).body == b""
    openmetrics = client.request(path, fields(ASKS_OPENMETRICS))
    check(openmetrics)
    assert openmetrics.body == b"# EOF\n"


def test_a_new_connection_for_each_scrape_negotiates_alike(client: HTTPClient) -> None:
    with ServingProbe(FILLER) as probe:
        for accept, content_type in list(ACCEPT.values())[:4]:
            response = send_get(probe.url, LARGE, accept=accept, encoding="gzip")
            check(response)
            assert response.content_type == content_type
            assert response.header("Content-Encoding") == "gzip"
