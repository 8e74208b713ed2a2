# SPDX-License-Identifier: Apache-2.0
"""Whatever a scraper says it takes, it is answered, and in the best format that it takes."""

import gzip
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accept_headers import ACCEPT, ACCEPT_ENCODING, ESCAPINGS, OM, UTF8
from asking import Asker, Fields, ask, asking, only
from exposition import (
    ASKS_OPENMETRICS,
    OPENMETRICS,
    OPENMETRICS_0,
    TEXT,
    TEXT_1,
    Exposition,
)
from probing import Probe, ServingProbe, family
from protobuf_exposition import PROTOBUF, families
from protobuf_exposition import only as only_value

pytestmark = pytest.mark.compute

FILLER = 200
# Families whose series do not change between two scrapes: one exposition is large, one small.
LARGE = only("probe_filler")
SMALL = only("probe_info")
MINIMUM = 1_400

each_accept = pytest.mark.parametrize("accept, content_type", ACCEPT.values(), ids=ACCEPT)
each_encoding = pytest.mark.parametrize(
    "encoding, packs", ACCEPT_ENCODING.items(), ids=lambda value: str(value)[:40]
)


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    """A connection to an agent with some kilobytes to tell, for all tests of this file."""
    with ServingProbe(FILLER) as probe, asking(probe.url) as connection:
        yield connection


def fields(accept: str | None = None, encoding: str | None = None) -> Fields:
    """The header fields of a request; one that is None is left out."""
    both = [("Accept", accept), ("Accept-Encoding", encoding)]
    return [(name, value) for name, value in both if value is not None]


def check(answer: Exposition) -> None:
    """What is so for every answer to a scrape."""
    assert answer.status == 200
    assert answer.header("Vary") == "Accept, Accept-Encoding"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Transfer-Encoding") is None
    names = [name.lower() for name, _ in answer.headers]
    assert len(names) == len(set(names)), f"a field is there twice: {answer.headers}"
    if answer.content_type != PROTOBUF:
        assert answer.text.endswith("# EOF\n") == answer.is_openmetrics
        assert answer.text.count("# EOF\n") == int(answer.is_openmetrics)


@each_accept
def test_each_accept_gets_the_format_that_it_prefers(
    asker: Asker, accept: str | None, content_type: str
) -> None:
    answer = asker.ask(fields=fields(accept))
    check(answer)
    assert answer.content_type == content_type
    assert answer.header("Content-Encoding") is None
    if content_type == PROTOBUF:
        names = {only_value(one["name"]) for one in families(answer.body)}
        assert "probe_requests_total" in names
    else:
        assert any(family.name == "probe_requests" for family in answer.families)


def test_several_accept_fields_are_read_as_one(asker: Asker) -> None:
    both = [("Accept", "text/plain;q=0.5"), ("Accept", f"{OM};version=1.0.0")]
    for order in (both, both[::-1]):
        answer = asker.ask(fields=order)
        check(answer)
        assert answer.content_type == OPENMETRICS


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
def test_no_header_is_ever_refused_or_misunderstood(
    asker: Asker, accept: str, encoding: str
) -> None:
    answer = asker.ask(SMALL, fields(accept, encoding))
    check(answer)
    assert answer.content_type in OFFERED
    assert [sample.name for one in answer.families for sample in one.samples] == ["probe_info"]


@each_encoding
def test_a_large_body_is_packed_for_those_who_want_it(
    asker: Asker, encoding: str | None, packs: bool
) -> None:
    answer = asker.ask(LARGE, fields(ASKS_OPENMETRICS, encoding))
    check(answer)
    assert answer.header("Content-Encoding") == ("gzip" if packs else None)
    assert (answer.body[:2] == b"\x1f\x8b") == packs
    plain = asker.ask(LARGE, fields(ASKS_OPENMETRICS))
    assert answer.text.encode() == plain.body
    assert len(plain.body) >= MINIMUM
    assert (len(answer.body) < len(plain.body) / 2) == packs


def test_a_packed_body_is_one_whole_member(asker: Asker) -> None:
    body = asker.ask(LARGE, fields(encoding="gzip")).body
    # The length at its end is that of everything (RFC 1952, section 2.3.1).
    assert int.from_bytes(body[-4:], "little") == len(gzip.decompress(body))


@pytest.mark.parametrize("encoding", ["gzip", "*", "gzip;q=1, identity;q=0"])
def test_a_small_body_is_never_packed(asker: Asker, encoding: str) -> None:
    answer = asker.ask(SMALL, fields(encoding=encoding))
    check(answer)
    assert len(answer.body) < MINIMUM
    assert answer.header("Content-Encoding") is None


@pytest.mark.parametrize("accept", [None, ASKS_OPENMETRICS])
def test_a_body_is_packed_from_1400_bytes_on(probe: Probe, accept: str | None) -> None:
    def scrape(padding: int) -> Exposition:
        request = family("gauge", "level", [([], [1.0])], help_text="x" * padding)
        return probe.respond(request, accept=accept, accept_encoding="gzip")

    rest = len(scrape(1).text) - 1
    for size in (MINIMUM - 1, MINIMUM, MINIMUM + 1):
        answer = scrape(size - rest)
        assert len(answer.text) == size
        assert answer.header("Content-Encoding") == ("gzip" if size >= MINIMUM else None)


@pytest.mark.parametrize("path", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("encoding", [None, "gzip", "gzip;q=0"])
@pytest.mark.parametrize("accept", [None, ASKS_OPENMETRICS, f"{ASKS_OPENMETRICS};{UTF8}"])
def test_head_says_what_get_would_say(
    asker: Asker, path: str, encoding: str | None, accept: str | None
) -> None:
    asked = fields(accept, encoding)
    head = asker.ask(path, asked, method="HEAD")
    # On the same connection: a body that nobody expects would be read as this one's answer.
    get = asker.ask(path, asked)
    check(get)
    assert head.status == 200
    assert head.body == b""
    own = [[field for field in one.headers if field[0] != "Date"] for one in (head, get)]
    assert own[0] == own[1]


def test_a_scrape_of_some_families_has_no_others(asker: Asker) -> None:
    for accept in (None, ASKS_OPENMETRICS):
        path = only("probe_info", "probe_requests_total", "nobody_has_this")
        answer = asker.ask(path, fields(accept))
        check(answer)
        assert {one.name for one in answer.families} <= {"probe_info", "probe", "probe_requests"}
        names = {sample.name for one in answer.families for sample in one.samples}
        assert names == {"probe_info", "probe_requests_total"}


def test_a_scrape_of_no_known_family_is_empty_but_whole(asker: Asker) -> None:
    path = only("nobody_has_this")
    assert asker.ask(path).body == b""
    openmetrics = asker.ask(path, fields(ASKS_OPENMETRICS))
    check(openmetrics)
    assert openmetrics.body == b"# EOF\n"


def test_a_new_connection_for_each_scrape_is_answered_the_same(asker: Asker) -> None:
    with ServingProbe(FILLER) as probe:
        for accept, content_type in list(ACCEPT.values())[:4]:
            answer = ask(probe.url, LARGE, accept=accept, encoding="gzip")
            check(answer)
            assert answer.content_type == content_type
            assert answer.header("Content-Encoding") == "gzip"
