# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for registries, and the exposition expected of each."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from exposition import Key, key
from hostile_text import FRAGMENTS, texts
from probe_programs import family

UNITS = ["", "_seconds", "_bytes", "_ratio", "_celsius", "_meters", "_joules", "_volts"]
LABELS = ["a", "B9", "le_", "queue_name", "z"]
EXEMPLAR_LIMIT = 128
"""The limit on characters in the names and values of an exemplar's labels: OpenMetrics 1.0,
"Exemplars"."""

finite = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(min_value=0.0, allow_infinity=False)
numbers = {
    "counter": st.lists(amounts, max_size=5),
    "gauge": st.lists(st.floats(), min_size=1, max_size=3),
    "histogram": st.lists(finite, max_size=10),
    "callbackCounter": st.lists(amounts, min_size=1, max_size=1),
    "callbackGauge": st.lists(st.floats(), min_size=1, max_size=1),
}

# The exemplar parser mistakes an escaped quotation mark for the end of a value, so there are none.
PIECES = st.sampled_from(["x", "e\u0301"])
exemplar_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"'), max_size=40),
    st.sampled_from([part for part in FRAGMENTS if '"' not in part]),
    st.builds(lambda part, count: part * count, PIECES, st.integers(0, 80)),
)
exemplars = st.dictionaries(st.sampled_from(LABELS), exemplar_texts, max_size=4)


def exemplar_size(labels: dict[str, str]) -> int:
    """The size that the limit counts: Unicode scalar values."""
    return sum(len(name) + len(value) for name, value in labels.items())


def without_empty(labels: dict[str, str]) -> dict[str, str]:
    """The labels with non-empty values; an empty value is the same as no label."""
    return {name: value for name, value in labels.items() if value}


@dataclass
class Expected:
    """The expected exposition of one family."""

    name: str
    """The name without its type's suffix."""
    kind: str
    unit: str
    help_text: str
    request: dict[str, Any]
    samples: dict[Key, float] = field(default_factory=dict)
    optional: set[Key] = field(default_factory=set)
    """Samples that strict OpenMetrics forbids if a histogram has negative observations."""
    exemplars: dict[Key, dict[str, str]] = field(default_factory=dict)
    """The exemplar that a sample may have."""
    recorded: dict[Key, list[float]] = field(default_factory=dict)
    """The observations, one of which is the exemplar's value."""

    @property
    def type(self) -> str:
        """The type in OpenMetrics."""
        return self.kind.removeprefix("callback").lower()

    def promised_exemplars(self) -> Iterator[Key]:
        """Samples of which at least one in each series must show its exemplar."""
        for name, labels in self.exemplars.items():
            shown = without_empty(labels)
            readable = not any("\0" in value for value in shown.values())
            if shown and readable and exemplar_size(labels) <= EXEMPLAR_LIMIT:
                if any(number != 0 for number in self.recorded[name]):
                    yield name


def spelled(bound: float) -> tuple[str, str]:
    """A bucket's `le` label in a canonical spelling; minus zero is zero."""
    return ("le", repr(float(bound) + 0.0))


@st.composite
def registry(draw: st.DrawFn) -> list[Expected]:
    """Families whose names do not collide."""
    return [draw(one_family(index)) for index in range(draw(st.integers(1, 5)))]


@st.composite
def one_family(draw: st.DrawFn, index: int) -> Expected:
    """A family of any kind; its index keeps its name unique."""
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "info", *numbers]))
    root = draw(st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", fullmatch=True))
    unit = "" if kind == "info" else draw(st.sampled_from(UNITS))
    name = f"{root}_n{index}{unit}"
    suffix = {"counter": "_total", "callbackCounter": "_total", "info": "_info"}.get(kind, "")
    given = name + draw(st.sampled_from(["", suffix]))
    # Neither format preserves blanks at the ends of a help text.
    help_text = f"<{draw(texts)}>"
    names = st.lists(st.sampled_from(LABELS), unique=True)
    labels = [] if kind.startswith("callback") else draw(names)
    if kind == "info":
        values = draw(st.tuples(*[texts] * len(labels)))
        request = family(kind, given, [(list(values), [])], labels, help_text)
        wanted = Expected(name, kind, unit, help_text, request)
        wanted.samples[key(f"{name}_info", own_labels(labels, values))] = 1.0
        return wanted

    some = st.lists(st.tuples(*[texts] * len(labels)), min_size=1, max_size=3, unique=True)
    series = [(values, draw(numbers[kind])) for values in draw(some)]
    with_exemplars = kind in ("counter", "histogram") and draw(st.booleans())
    given_exemplars = [draw(exemplars) for _ in series] if with_exemplars else []
    buckets = None
    if kind == "histogram":
        buckets = sorted(draw(st.lists(finite, min_size=1, max_size=8, unique=True)))
    rows = [(list(values), ns) for values, ns in series]
    request = family(kind, given, rows, labels, help_text, buckets, given_exemplars)
    wanted = Expected(name, kind, unit, help_text, request)
    for number, (values, recorded) in enumerate(series):
        own = own_labels(labels, values)
        exemplar = given_exemplars[number] if with_exemplars else None
        if buckets is None:
            add_plain(wanted, own, recorded, suffix, exemplar)
        else:
            add_histogram(wanted, own, recorded, buckets, exemplar)
    return wanted


def own_labels(names: Sequence[str], values: Sequence[str]) -> list[tuple[str, str]]:
    """The labels of a series; an empty value is the same as no label."""
    return [(name, value) for name, value in zip(names, values, strict=True) if value]


def add_plain(
    wanted: Expected,
    own: list[tuple[str, str]],
    recorded: list[float],
    suffix: str,
    exemplar: dict[str, str] | None,
) -> None:
    """A series with one sample: the last number, or the sum of all for a counter."""
    name = key(wanted.name + suffix, own)
    is_counter = wanted.kind == "counter"
    total = list(itertools.accumulate(recorded, initial=0.0))[-1]
    wanted.samples[name] = total if is_counter else recorded[-1]
    if exemplar is not None and is_counter:
        wanted.exemplars[name] = exemplar
        wanted.recorded[name] = recorded


def add_histogram(
    wanted: Expected,
    own: list[tuple[str, str]],
    recorded: list[float],
    bounds: list[float],
    exemplar: dict[str, str] | None,
) -> None:
    """A series of a histogram: its buckets, sum and count."""
    below = -math.inf
    for bound in [*bounds, math.inf]:
        name = key(f"{wanted.name}_bucket", [*own, spelled(bound)])
        wanted.samples[name] = sum(number <= bound for number in recorded)
        if exemplar is not None:
            wanted.exemplars[name] = exemplar
            wanted.recorded[name] = [one for one in recorded if below < one <= bound]
        below = bound
    ends = {"_sum": list(itertools.accumulate(recorded, initial=0.0))[-1], "_count": len(recorded)}
    for suffix, value in ends.items():
        name = key(wanted.name + suffix, own)
        wanted.samples[name] = value
        if min([*recorded, *bounds]) < 0:
            wanted.optional.add(name)


def same(one: float, other: float) -> bool:
    """Whether two numbers are equal, or both are NaN."""
    return one == other or (math.isnan(one) and math.isnan(other))
