# SPDX-License-Identifier: Apache-2.0
"""The response to a scrape, and the samples that third-party parsers read from it."""

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as strict_openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

ASKS_OPENMETRICS = "application/openmetrics-text;version=1.0.0"
"""An `Accept` header that selects OpenMetrics."""


@dataclass(frozen=True)
class Exposition:
    """A scrape's status, header fields in order, and body as received."""

    body: bytes
    headers: Sequence[tuple[str, str]] = ()
    status: int = 200

    def header(self, name: str) -> str | None:
        """The only value of a header field; None if it is absent."""
        values = [value for field, value in self.headers if field.lower() == name.lower()]
        assert len(values) < 2, f"{name} is present {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def content_type(self) -> str:
        """The value of `Content-Type`, which must be present."""
        value = self.header("Content-Type")
        assert value, f"no Content-Type among {self.headers}"
        return value

    @property
    def is_openmetrics(self) -> bool:
        """Whether the content type is OpenMetrics."""
        return self.content_type.startswith("application/openmetrics-text;")

    @property
    def text(self) -> str:
        """The body, decompressed if necessary."""
        encoding = self.header("Content-Encoding")
        assert encoding in (None, "gzip"), encoding
        return (gzip.decompress(self.body) if encoding else self.body).decode("utf-8")

    @property
    def families(self) -> list[Metric]:
        """The families, parsed in the format that `Content-Type` names.

        OpenMetrics is read by the strict parser, which must not lose a sample.
        """
        text = self.text
        if not self.is_openmetrics:
            return list(text_string_to_metric_families(text))
        families = list(strict_openmetrics_families(text))
        assert sum(len(one.samples) for one in families) == len(sample_lines(text))
        return families


def sample_lines(text: str) -> list[str]:
    """The lines that hold a sample."""
    return [line for line in text.split("\n") if line and not line.startswith("#")]


Key = tuple[str, frozenset[tuple[str, str]]]


def key(name: str, labels: Iterable[tuple[str, str]]) -> Key:
    """The identity of a sample: its name, and its labels in any order."""
    return (name, frozenset(labels))


def samples_of(families: Iterable[Metric]) -> dict[Key, Sample]:
    """The samples by name and labels; fails on duplicates."""
    samples = [sample for one in families for sample in one.samples]
    found = {key(sample.name, sample.labels.items()): sample for sample in samples}
    assert len(found) == len(samples), "duplicate sample"
    return found


def parse_samples(text: bytes) -> dict[Key, float]:
    """The values of the text format, by name and labels."""
    exposition = Exposition(text, [("Content-Type", "text/plain; version=0.0.4")])
    return {k: sample.value for k, sample in samples_of(exposition.families).items()}
