# SPDX-License-Identifier: Apache-2.0
"""The text expositions of an agent with metrics of every kind, checked by Prometheus's own tool."""

from collections.abc import Iterator

import pytest

from exposition import TEXT, TEXT_1
from harness import promtool_findings
from http_client import send_get
from probe_programs import ServingProbe

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProbe]:
    """An agent with metrics of every kind, including exemplars."""
    with ServingProbe(filler=200) as probe:
        yield probe


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize(
    "accept, content_type",
    [(None, TEXT), ("text/plain;version=0.0.4", TEXT), ("text/plain;version=1.0.0", TEXT_1)],
)
def test_promtool_accepts_every_text_format(
    serving: ServingProbe, accept: str | None, content_type: str, encoding: str | None
) -> None:
    serving.record()
    response = send_get(serving.url, accept=accept, encoding=encoding)
    assert response.content_type == content_type
    assert response.header("Content-Encoding") == encoding
    assert "probe_requests_total{" in response.text
    assert promtool_findings(response.text.encode()) == ""
