# SPDX-License-Identifier: Apache-2.0
"""A help text is any text: it cannot break a scrape."""

import pytest
from hypothesis import given
from prometheus_client.parser import text_string_to_metric_families

from hostile import texts
from probing import Probe, family

pytestmark = pytest.mark.compute


@given(text=texts)
def test_a_hostile_help_text_comes_back_equal(probe: Probe, text: str) -> None:
    # The format does not keep blanks at the ends, so there are none.
    text = f"<{text}>"
    exposition = probe.expose(family("gauge", "level", [([], [1.0])], help_text=text))
    (metric,) = text_string_to_metric_families(exposition.decode("utf-8"))
    assert metric.documentation == text


@given(text=texts)
def test_a_hostile_help_text_leaves_the_samples_alone(probe: Probe, text: str) -> None:
    request = family("gauge", "level", [(["x"], [1.0])], ["tank"], help_text=text)
    exposition = probe.expose(request).decode("utf-8")
    (metric,) = text_string_to_metric_families(exposition)
    assert [(s.name, s.labels, s.value) for s in metric.samples] == [("level", {"tank": "x"}, 1)]
    assert exposition.count("\n") == (3 if text else 2)
