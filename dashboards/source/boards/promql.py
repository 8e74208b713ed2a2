# SPDX-License-Identifier: Apache-2.0
"""Queries of the dashboards: of the targets that the reader chose, and of ours alone.

A target answers with classic buckets or with native ones. A server that stores the native histogram has no
`_bucket`, `_count` and `_sum` of it, so each query asks for both, per series, before anything is summed.
"""

from dataclasses import dataclass, replace

from functions import either

TARGET = "cluster, namespace, job, instance"
"""What tells a target. A label that a server does not set is empty, on both sides of a join."""
CHOSEN = ('cluster=~"$cluster"', 'namespace=~"$namespace"', 'job=~"$job"', 'instance=~"$instance"')
WINDOW = "[$__rate_interval]"
INFO = "outrider_build_info"
"""What every target of ours exposes, and no other."""


def chosen(name: str, *matchers: str) -> str:
    """A selector of what the reader chose."""
    return f"{name}{{{','.join((*CHOSEN, *matchers))}}}"


def ours(expression: str) -> str:
    """The same, of our targets alone: `All` would show everybody's `process_*`."""
    return f"({expression} and on ({TARGET}) {chosen(INFO)})"


def gauge(name: str, *matchers: str) -> str:
    """What a gauge shows."""
    return ours(chosen(name, *matchers))


def rate(name: str, *matchers: str) -> str:
    """How fast a counter grows, by the second."""
    return ours(f"rate({chosen(name, *matchers)}{WINDOW})")


def increase(name: str, *matchers: str) -> str:
    """By how much a counter grew in a window."""
    return ours(f"increase({chosen(name, *matchers)}{WINDOW})")


def aggregate(function: str, expression: str, *by: str) -> str:
    """All series with the same labels as one."""
    return f"{function} by ({', '.join(by)}) ({expression})" if by else f"{function}({expression})"


def total(expression: str, *by: str) -> str:
    """Their sum."""
    return aggregate("sum", expression, *by)


def top(count: int, expression: str) -> str:
    """Those with most."""
    return f"topk({count}, {expression})"


@dataclass(frozen=True)
class Histogram:
    """A histogram of either kind."""

    name: str
    matchers: tuple[str, ...] = ()

    def where(self, *matchers: str) -> "Histogram":
        """Some of its series."""
        return replace(self, matchers=self.matchers + matchers)

    def _rate(self, suffix: str = "", *matchers: str) -> str:
        return f"rate({chosen(self.name + suffix, *self.matchers, *matchers)}{WINDOW})"

    @property
    def count(self) -> str:
        """Observations a second, by series."""
        count = either(self._rate("_count"), f"histogram_count({self._rate()})")
        return ours(f"({count})")

    @property
    def sum(self) -> str:
        """What they add up to each second, by series."""
        sum_ = either(self._rate("_sum"), f"histogram_sum({self._rate()})")
        return ours(f"({sum_})")

    @property
    def native(self) -> str:
        """The native histogram itself, by series."""
        return ours(self._rate())

    def buckets(self, *by: str) -> str:
        """Observations a second in each classic bucket, cumulated."""
        return total(ours(self._rate("_bucket")), *by, "le")

    def quantile(self, q: float, *by: str) -> str:
        """A quantile over all of its series with the same labels."""
        classic = f"histogram_quantile({q}, {self.buckets(*by)})"
        return either(classic, f"histogram_quantile({q}, {total(self.native, *by)})")

    def mean(self, *by: str) -> str:
        """The mean, where there is one."""
        return f"{total(self.sum, *by)} / ({total(self.count, *by)} > 0)"

    def above(self, bound: str, *by: str) -> str:
        """The share of observations above a bound, which is one of the classic buckets."""
        under = either(
            self._rate("_bucket", f'le="{bound}"'),
            f"histogram_fraction(0, {bound}, {self._rate()}) * (histogram_count({self._rate()}) > 0)",
        )
        return f"1 - {total(ours(f'({under})'), *by)} / ({total(self.count, *by)} > 0)"


def share(part: str, whole: str) -> str:
    """A part of a whole; no series of the part is none of it, and no whole is no answer."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"
