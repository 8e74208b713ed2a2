# SPDX-License-Identifier: Apache-2.0
"""The exposition of a service in use, read by third-party parsers."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exposition import sample_lines
from harness import Quickstart, poll, promtool_findings

pytestmark = pytest.mark.wait


def busy_metrics(quickstart: Quickstart) -> str:
    """Waits for an exposition with series of every kind."""

    def attempt() -> str | None:
        text = quickstart.metrics()
        wanted = ("orders_placed_total{", "http_server_request_duration_seconds_bucket{")
        return text if all(part in text for part in wanted) else None

    return poll("the quickstart has had orders", attempt)


def test_promtool_accepts_the_exposition(quickstart: Quickstart) -> None:
    assert promtool_findings(busy_metrics(quickstart).encode()) == ""


def test_an_independent_parser_reads_every_sample(quickstart: Quickstart) -> None:
    text = busy_metrics(quickstart)
    families = list(text_string_to_metric_families(text))
    assert sum(len(family.samples) for family in families) == len(sample_lines(text))
    assert all(family.documentation for family in families)
    assert all(family.type in ("counter", "gauge", "histogram") for family in families)


def test_families_are_unique_and_sorted_by_name(quickstart: Quickstart) -> None:
    lines = busy_metrics(quickstart).split("\n")
    names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) > 10
    assert names == sorted(set(names))


def test_two_scrapes_have_their_series_in_the_same_order(quickstart: Quickstart) -> None:
    first, second = (
        [line.rsplit(" ", 1)[0] for line in sample_lines(text)]
        for text in (busy_metrics(quickstart), quickstart.metrics())
    )
    assert len(set(first)) == len(first)
    # New series may have appeared with the traffic, and those of a thread ended with it.
    stayed = [series for series in first if series in set(second)]
    assert [series for series in second if series in set(first)] == stayed
    assert len(stayed) > len(first) / 2


def test_an_exposition_ends_with_a_line_feed(quickstart: Quickstart) -> None:
    assert quickstart.metrics().endswith("\n")
