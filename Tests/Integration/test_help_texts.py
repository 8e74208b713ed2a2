# SPDX-License-Identifier: Apache-2.0
"""Help texts: no text can break a scrape."""

import pytest
from hypothesis import given
from prometheus_client.parser import text_string_to_metric_families

from hostile_text import texts
from probe_programs import Probe, family

pytestmark = pytest.mark.compute


@given(text=texts)
def test_a_hostile_help_text_is_read_back_unchanged(probe: Probe, text: str) -> None:
    # The format does not preserve blanks at the ends.
    text = f"<{text}>"
    exposition = probe.expose(family("gauge", "level", [([], [1.0])], help_text=text))
    (metric,) = text_string_to_metric_families(exposition.decode("utf-8"))
    assert metric.documentation == text


@given(text=texts)
def test_a_hostile_help_text_does_not_affect_the_samples(probe: Probe, text: str) -> None:
    request = family("gauge", "level", [(["x"], [1.0])], ["tank"], help_text=text)
    exposition = probe.expose(request).decode("utf-8")
    (metric,) = text_string_to_metric_families(exposition)
    assert [(s.name, s.labels, s.value) for s in metric.samples] == [("level", {"tank": "x"}, 1)]
    assert exposition.count("\n") == (3 if text else 2)
