# SPDX-License-Identifier: Apache-2.0
"""Prometheus' protobuf format, decoded by protoc."""

import ast
import math
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from exposition import Key, key
from harness import system_binary

PROTO = "application/vnd.google.protobuf"
ASKS_PROTOBUF = f"{PROTO};proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROTOBUF = f"{PROTO}; proto=io.prometheus.client.MetricFamily; encoding=delimited"
SCHEMA = Path(__file__).with_name("metrics.proto")
LINE = re.compile(r"\s*(?:(\w+) \{|(\w+): (.+)|(\}))")

Message = dict[str, list[Any]]


def length(data: bytes, offset: int) -> tuple[int, int]:
    """Decodes a varint; returns it and the offset of its end."""
    value = shift = 0
    while True:
        byte = data[offset]
        value |= (byte & 127) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 128:
            return value, offset


def as_one_message(scrape: bytes) -> bytes:
    """Joins length-delimited families into one message with a repeated field."""
    parts, offset = [], 0
    while offset < len(scrape):
        size, start = length(scrape, offset)
        assert start + size <= len(scrape), "the last family is truncated"
        # Field 1, with the length that precedes the family.
        parts.append(b"\x0a" + scrape[offset : start + size])
        offset = start + size
    return b"".join(parts)


def scalar(text: str) -> Any:
    """A value in protoc's text output."""
    if text.startswith('"'):
        return ast.literal_eval("b" + text).decode("utf-8")
    words = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan, "-nan": math.nan}
    if text in words:
        return words[text]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def families(scrape: bytes) -> list[Message]:
    """The families of a scrape, decoded by protoc: each field is a list."""
    decoded_text = subprocess.run(
        [
            system_binary("protoc"),
            "--decode=outrider.tests.Scrape",
            f"--proto_path={SCHEMA.parent}",
            str(SCHEMA),
        ],
        input=as_one_message(scrape),
        capture_output=True,
        timeout=120,
        check=True,
    )
    root: Message = defaultdict(list)
    open_messages = [root]
    for line in decoded_text.stdout.decode("ascii").splitlines():
        found = LINE.fullmatch(line)
        # protoc prints a number as the name of an unknown field.
        assert found, f"unexpected output of protoc: {line}"
        opened, name, value, closed = found.groups()
        assert not (opened or name or "").isdigit(), f"unknown field: {line}"
        if closed:
            open_messages.pop()
        elif opened:
            message: Message = defaultdict(list)
            open_messages[-1][opened].append(message)
            open_messages.append(message)
        else:
            open_messages[-1][name].append(scalar(value))
    return root["family"]


def only(values: list[Any], default: Any = None) -> Any:
    """The value of a field that is not repeated."""
    assert len(values) <= 1
    return values[0] if values else default


def labels_of(message: Message) -> list[tuple[str, str]]:
    """The label pairs of a series or an exemplar."""
    return [(only(pair["name"]), only(pair["value"])) for pair in message["label"]]


def bound_name(bound: float) -> tuple[str, str]:
    """The `le` label of a classic bucket, in a canonical spelling."""
    return ("le", repr(float(bound)))


def samples(decoded: list[Message]) -> dict[Key, float]:
    """The samples that the same series have in the text format."""
    found: dict[Key, float] = {}
    for family in decoded:
        name = only(family["name"])
        for metric in family["metric"]:
            own = labels_of(metric)
            for kind in ("counter", "gauge"):
                for value in metric[kind]:
                    found[key(name, own)] = float(only(value["value"]))
            for histogram in metric["histogram"]:
                for bucket in histogram["bucket"]:
                    labels = [*own, bound_name(only(bucket["upper_bound"]))]
                    count = only(bucket["cumulative_count"], 0)
                    found[key(f"{name}_bucket", labels)] = float(count)
                found[key(f"{name}_sum", own)] = float(only(histogram["sample_sum"]))
                found[key(f"{name}_count", own)] = float(only(histogram["sample_count"], 0))
    return found


def exemplars(decoded: list[Message]) -> dict[Key, tuple[dict[str, str], float]]:
    """The exemplars of series and buckets: labels and value."""
    found = {}
    for family in decoded:
        for metric in family["metric"]:
            own = labels_of(metric)
            for counter in metric["counter"]:
                for one in counter["exemplar"]:
                    found[key(only(family["name"]), own)] = dict(labels_of(one)), only(one["value"])
            for histogram in metric["histogram"]:
                for bucket in histogram["bucket"]:
                    for one in bucket["exemplar"]:
                        labels = [*own, bound_name(only(bucket["upper_bound"]))]
                        name = key(f"{only(family['name'])}_bucket", labels)
                        found[name] = dict(labels_of(one)), only(one["value"])
    return found


def native_buckets(histogram: Message, side: str) -> dict[int, int]:
    """The counts of the native buckets on one side, by index."""
    counts, index, count = {}, 0, 0
    deltas = iter(histogram[f"{side}_delta"])
    for span in histogram[f"{side}_span"]:
        index += only(span["offset"], 0)
        for _ in range(only(span["length"], 0)):
            count += next(deltas)
            counts[index] = count
            index += 1
    assert next(deltas, None) is None, "more counts than buckets"
    return counts


def upper_bound(schema: int, index: int) -> float:
    """The upper bound of a native bucket: 2 to the power of index / 2^schema."""
    try:
        return 2.0 ** (index * 2.0**-schema)
    except OverflowError:
        return math.inf
