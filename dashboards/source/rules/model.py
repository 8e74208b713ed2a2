# SPDX-License-Identifier: Apache-2.0
"""Recording rules, alerting rules, and test cases of alerts."""

from dataclasses import dataclass, field

Series = dict[str, str]
"""Input of a test: series with their values in promtool's notation, one for each step."""

OURS = "outrider_build_info"
"""A metric that every Outrider target exposes, and no other target."""


def ours(expression: str) -> str:
    """The expression for Outrider targets only."""
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
    """Labels of the alert that its rule does not set."""
    step: int = 1
    """Minutes between two values, and between two evaluations."""


@dataclass(frozen=True)
class Alert:
    """An alerting rule."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    minutes: int = 0
    """Minutes that the expression must hold before the alert fires."""
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Record | Alert, ...]
    seconds: int = 30


def quoted(value: str) -> str:
    """The text as a single-quoted YAML scalar."""
    return "'" + value.replace("'", "''") + "'"


def block(value: str, indent: int) -> str:
    """The text as a YAML block scalar."""
    margin = " " * indent
    return "|-\n" + "\n".join(margin + line for line in value.strip().splitlines())
