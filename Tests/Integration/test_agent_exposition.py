# SPDX-License-Identifier: Apache-2.0
"""The text of an agent with metrics of every kind, checked by Prometheus's own tool."""

from collections.abc import Iterator

import pytest

from asking import ask
from exposition import TEXT, TEXT_1
from harness import promtool_findings
from probing import ServingProbe

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProbe]:
    """An agent with metrics of every kind, exemplars among them."""
    with ServingProbe(filler=200) as probe:
        yield probe


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize(
    "accept, content_type",
    [(None, TEXT), ("text/plain;version=0.0.4", TEXT), ("text/plain;version=1.0.0", TEXT_1)],
)
def test_promtool_finds_nothing_to_say(
    serving: ServingProbe, accept: str | None, content_type: str, encoding: str | None
) -> None:
    serving.record()
    answer = ask(serving.url, accept=accept, encoding=encoding)
    assert answer.content_type == content_type
    assert answer.header("Content-Encoding") == encoding
    assert "probe_requests_total{" in answer.text
    assert promtool_findings(answer.text.encode()) == ""
