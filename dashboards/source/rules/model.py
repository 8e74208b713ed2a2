# SPDX-License-Identifier: Apache-2.0
"""Rules as values: what they ask, when they fire, and a case in which each does and does not."""

from dataclasses import dataclass, field

Series = dict[str, str]
"""Input of a test: series, and their values in promtool's notation, one for each step."""

OURS = "outrider_build_info"
"""What every target of ours exposes, and no other."""


def ours(expression: str) -> str:
    """The same, of our own targets alone."""
    return f"{expression} and on (job, instance) {OURS}"


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expression: str


@dataclass(frozen=True)
class Case:
    """Series of a target, and whether an alert fires on them after so many minutes."""

    series: Series
    minutes: int
    fires: bool
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of the alert beside those of its rule."""
    step: int = 1
    """Minutes from one value, and one evaluation, to the next."""


@dataclass(frozen=True)
class Alert:
    """An alerting rule."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    minutes: int = 0
    """For how long it has to be so."""
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Record | Alert, ...]
    seconds: int = 30


def text(value: str) -> str:
    """A YAML scalar, whatever stands in it."""
    return "'" + value.replace("'", "''") + "'"


def block(value: str, indent: int) -> str:
    """A YAML block of lines."""
    margin = " " * indent
    return "|-\n" + "\n".join(margin + line for line in value.strip().splitlines())
