# SPDX-License-Identifier: Apache-2.0
"""Identity attributes from the environment reach a scraper unchanged, whatever text they
contain."""

import urllib.parse

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import fetch
from hostile_text import FRAGMENTS
from probe_programs import IdleAgent

pytestmark = pytest.mark.compute

# An environment variable cannot hold NUL.
TEXT = "".join(FRAGMENTS).replace("\0", "")


def target_info(agent: IdleAgent) -> dict[str, str]:
    """The labels of the only sample of `target_info`."""
    text = fetch(f"{agent.url}/metrics").decode("utf-8")
    (metric,) = [one for one in text_string_to_metric_families(text) if one.name == "target_info"]
    (sample,) = metric.samples
    return dict(sample.labels)


def test_a_hostile_service_name_is_exposed_unchanged() -> None:
    with IdleAgent(OTEL_SERVICE_NAME=TEXT) as agent:
        assert target_info(agent) == {"service_name": TEXT}


def test_hostile_resource_attributes_are_exposed_unchanged() -> None:
    attributes = {"service.name": "shop", "service.version": TEXT, "a-b/c": "d", "le": "1"}
    pairs = (f"{key}={urllib.parse.quote(value, safe='')}" for key, value in attributes.items())
    with IdleAgent(OTEL_RESOURCE_ATTRIBUTES=",".join(pairs)) as agent:
        labels = target_info(agent)
    assert labels["service_name"] == "shop"
    assert labels["service_version"] == TEXT
    assert labels["a_b_c"] == "d"
    assert "le" not in labels and "1" in labels.values()
