# SPDX-License-Identifier: Apache-2.0
"""Names that collide in OpenMetrics only: they never break it, and no sample is lost.

In the text format the gauge `jobs` and the counter `jobs_total` are two families; in OpenMetrics
both would be called `jobs`.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposition import ASKS_OPENMETRICS, samples_of
from probe_programs import Probe, family
from test_names import families

pytestmark = pytest.mark.compute

PAIRS = [
    (("gauge", "jobs"), ("counter", "jobs_total")),
    (("gauge", "jobs"), ("info", "jobs_info")),
    (("counter", "jobs_total"), ("info", "jobs_info")),
    (("histogram", "jobs"), ("info", "jobs_info")),
    (("histogram", "jobs"), ("counter", "jobs_total")),
    (("counter", "jobs_total"), ("gauge", "jobs_created")),
    (("histogram", "jobs"), ("gauge", "jobs_created")),
    (("counter", "jobs_created_total"), ("counter", "jobs_total")),
    (("gauge", "jobs"), ("gauge", "jobs_total")),
    (("gauge", "jobs"), ("gauge", "jobs_created")),
    (("gauge", "jobs_seconds"), ("counter", "jobs_seconds_total")),
    (("callbackGauge", "jobs"), ("callbackCounter", "jobs_total")),
]
KINDS = ["counter", "gauge", "histogram", "info", "callbackGauge", "callbackCounter"]
SUFFIXES = ["", "_total", "_created", "_info", "_gcount", "_gsum", "_bucket", "_seconds_total"]


def check(probe: Probe, requests: list[dict[str, Any]]) -> None:
    """The strict parser accepts the exposition, with and without creation times, and finds the
    samples of the text format."""
    text = samples_of(probe.respond(*requests).families)
    found = samples_of(probe.respond(*requests, accept=ASKS_OPENMETRICS).families)
    assert {name: one.value for name, one in found.items()} == {
        name: one.value for name, one in text.items()
    }
    more = probe.respond(*requests, accept=ASKS_OPENMETRICS, creation_times=True)
    assert set(text) <= set(samples_of(more.families))


def one(kind: str, name: str) -> dict[str, Any]:
    """A family with one series."""
    labels, values = (["a"], ["b"]) if kind == "info" else ([], [])
    return family(kind, name, [(values, [1.0])], labels)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " and ".join(" ".join(p) for p in pair))
@pytest.mark.parametrize("is_reversed", [False, True], ids=["", "reversed"])
def test_both_families_are_exposed_if_their_names_collide_in_openmetrics_only(
    probe: Probe, pair: tuple[tuple[str, str], tuple[str, str]], is_reversed: bool
) -> None:
    requests = [one(kind, name) for kind, name in (pair[::-1] if is_reversed else pair)]
    check(probe, requests)


@given(requests=st.lists(families(), min_size=2, max_size=8))
def test_colliding_names_never_break_openmetrics(
    probe: Probe, requests: list[dict[str, Any]]
) -> None:
    check(probe, requests)


created = st.builds(
    lambda kind, root, suffix: one(kind, root + suffix),
    st.sampled_from(KINDS),
    st.sampled_from(["a", "a_b", "created", "_"]),
    st.sampled_from(SUFFIXES),
)


@given(requests=st.lists(created, min_size=2, max_size=8))
def test_names_that_collide_with_creation_times_never_break_openmetrics(
    probe: Probe, requests: list[dict[str, Any]]
) -> None:
    check(probe, requests)


@pytest.mark.parametrize("kind, name", [("gauge", "_total"), ("gauge", "_seconds"), ("gauge", "_")])
def test_a_name_that_is_only_a_suffix_is_exposed(probe: Probe, kind: str, name: str) -> None:
    check(probe, [one(kind, name)])
