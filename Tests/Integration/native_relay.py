# SPDX-License-Identifier: Apache-2.0
"""What a client with native histograms would say, made of what an agent says: each classic bucket becomes a native one.

Prometheus takes native histograms in its protobuf format alone, `io.prometheus.client.MetricFamily`, each after its length.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from asking import ask
from exposition import ASKS_OPENMETRICS
from local_server import LocalServer, QuietHandler

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
KINDS = {"counter": 0, "gauge": 1, "histogram": 4}
SCHEMA = 3
"""Eight buckets to each doubling; 0.25 is a bound."""


def varint(value: int) -> bytes:
    """An integer, seven bits to a byte."""
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def zigzag(value: int) -> int:
    """A signed integer as one without a sign."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A field: an integer as a varint, a double, or bytes with their length."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def labels(given: Mapping[str, str]) -> bytes:
    """Label pairs of a metric or an exemplar."""
    return b"".join(field(1, field(1, name) + field(2, value)) for name, value in given.items())


def native(buckets: Mapping[float, int]) -> bytes:
    """Counts by upper bound, as spans and deltas. What is above all bounds counts as twice the last one."""
    counts: dict[int, int] = defaultdict(int)
    last = max((bound for bound in buckets if bound < math.inf), default=1.0)
    for bound, count in buckets.items():
        upper = bound if bound < math.inf else 2 * last
        counts[math.ceil(math.log2(upper) * 2**SCHEMA)] += count
    parts, before, end = b"", 0, 0
    deltas = b""
    for place, index in enumerate(sorted(counts)):
        offset = index if place == 0 else index - end
        parts += field(12, field(1, zigzag(offset)) + field(2, 1))
        deltas += field(13, zigzag(counts[index] - before))
        before, end = counts[index], index + 1
    return field(5, zigzag(SCHEMA)) + field(6, 1e-128) + field(7, 0) + parts + deltas


def histogram(samples: Iterable[Any], name: str) -> bytes:
    """One histogram of all samples with its labels; its classic buckets carry the exemplars."""
    bounds: list[tuple[float, int, Any]] = []
    total, message = 0, b""
    for sample in samples:
        if sample.name == f"{name}_bucket":
            bounds.append((float(sample.labels["le"]), int(sample.value), sample.exemplar))
        elif sample.name == f"{name}_count":
            total = int(sample.value)
        elif sample.name == f"{name}_sum":
            message += field(2, float(sample.value))
    message += field(1, total)
    single, before = {}, 0
    for bound, count, exemplar in sorted(bounds, key=lambda one: one[0]):
        single[bound] = count - before
        before = count
        shown = field(3, labels(exemplar.labels) + field(2, float(exemplar.value))) if exemplar else b""
        message += field(3, field(1, count) + field(2, bound) + shown)
    return message + native({bound: count for bound, count in single.items() if count})


def family(metric: Any) -> bytes:
    """A family, with its length before it."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    own: dict[tuple[tuple[str, str], ...], list[Any]] = defaultdict(list)
    for sample in metric.samples:
        if not sample.name.endswith("_created"):
            own[tuple((k, v) for k, v in sample.labels.items() if k != "le" or metric.type != "histogram")].append(sample)
    kind = KINDS.get(metric.type, 1)
    message = field(1, f"{metric.name}_info" if metric.type == "info" else name) + field(3, kind)
    for key, samples in own.items():
        if metric.type == "histogram":
            value = field(7, histogram(samples, metric.name))
        else:
            value = field(3 if kind == 0 else 2, field(1, float(samples[0].value)))
        message += field(4, labels(dict(key)) + value)
    return varint(len(message)) + message


class NativeRelay(LocalServer):
    """Asks agents, by name as paths, and says the same with native histograms."""

    def __init__(self, agents: Mapping[str, str]) -> None:
        class Handler(QuietHandler):
            def do_GET(self) -> None:
                page = ask(agents[self.path.strip("/")], accept=ASKS_OPENMETRICS)
                body = b"".join(family(metric) for metric in page.families)
                self.send_response(200)
                self.send_header("Content-Type", PROTOBUF)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Handler)

    def jobs(self, agents: Mapping[str, str]) -> dict[str, str]:
        """Where each of them is scraped."""
        return {name: f"{self.target}/{name}" for name in agents}

    def options(self, agents: Mapping[str, str]) -> dict[str, Any]:
        """Has each of them keep the instance that it is."""
        return {
            name: {"static_configs": [{"targets": [self.target], "labels": {"instance": url.removeprefix("http://")}}]}
            for name, url in agents.items()
        }
