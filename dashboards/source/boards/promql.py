# SPDX-License-Identifier: Apache-2.0
"""PromQL of the dashboards, restricted to the selected targets that run Outrider.

A target exposes classic or native histograms. A server that stores a native histogram has no `_bucket`,
`_count` and `_sum` series of it, so each query selects either kind for each series, before it aggregates.
"""

from dataclasses import dataclass, replace

from functions import either

TARGET = "cluster, namespace, job, instance"
"""Labels that identify a target. A label that a server does not set is empty on both sides of a join."""
CHOSEN = ('cluster=~"$cluster"', 'namespace=~"$namespace"', 'job=~"$job"', 'instance=~"$instance"')
WINDOW = "[$__rate_interval]"
INFO = "outrider_build_info"
"""A metric that every Outrider target exposes, and no other target."""


def chosen(name: str, *matchers: str) -> str:
    """A selector with the values of the dashboard's variables."""
    return f"{name}{{{','.join((*CHOSEN, *matchers))}}}"


def ours(expression: str) -> str:
    """The expression for Outrider targets only; `All` would otherwise include `process_*` of every target."""
    return f"({expression} and on ({TARGET}) {chosen(INFO)})"


def gauge(name: str, *matchers: str) -> str:
    """The value of a gauge."""
    return ours(chosen(name, *matchers))


def rate(name: str, *matchers: str) -> str:
    """The rate of a counter per second."""
    return ours(f"rate({chosen(name, *matchers)}{WINDOW})")


def increase(name: str, *matchers: str) -> str:
    """The increase of a counter within a window."""
    return ours(f"increase({chosen(name, *matchers)}{WINDOW})")


def aggregate(function: str, expression: str, *by: str) -> str:
    """One value for all series with the same labels."""
    return f"{function} by ({', '.join(by)}) ({expression})" if by else f"{function}({expression})"


def total(expression: str, *by: str) -> str:
    """The sum of all series with the same labels."""
    return aggregate("sum", expression, *by)


def top(count: int, expression: str) -> str:
    """The series with the largest values."""
    return f"topk({count}, {expression})"


@dataclass(frozen=True)
class Histogram:
    """A classic or native histogram."""

    name: str
    matchers: tuple[str, ...] = ()

    def where(self, *matchers: str) -> "Histogram":
        """The histogram, restricted to some series."""
        return replace(self, matchers=self.matchers + matchers)

    def _rate(self, suffix: str = "", *matchers: str) -> str:
        return f"rate({chosen(self.name + suffix, *self.matchers, *matchers)}{WINDOW})"

    @property
    def count(self) -> str:
        """Observations per second, by series."""
        count = either(self._rate("_count"), f"histogram_count({self._rate()})")
        return ours(f"({count})")

    @property
    def sum(self) -> str:
        """Sum of the observed values per second, by series."""
        sum_ = either(self._rate("_sum"), f"histogram_sum({self._rate()})")
        return ours(f"({sum_})")

    @property
    def native(self) -> str:
        """The native histogram itself, by series."""
        return ours(self._rate())

    def buckets(self, *by: str) -> str:
        """Observations per second in each classic bucket, cumulative."""
        return total(ours(self._rate("_bucket")), *by, "le")

    def quantile(self, q: float, *by: str) -> str:
        """A quantile over all series with the same labels."""
        classic = f"histogram_quantile({q}, {self.buckets(*by)})"
        return either(classic, f"histogram_quantile({q}, {total(self.native, *by)})")

    def mean(self, *by: str) -> str:
        """The mean; absent without observations."""
        return f"{total(self.sum, *by)} / ({total(self.count, *by)} > 0)"

    def above(self, bound: str, *by: str) -> str:
        """The share of observations above `bound`, which must be the bound of a classic bucket."""
        under = either(
            self._rate("_bucket", f'le="{bound}"'),
            f"histogram_fraction(0, {bound}, {self._rate()}) * (histogram_count({self._rate()}) > 0)",
        )
        return f"1 - {total(ours(f'({under})'), *by)} / ({total(self.count, *by)} > 0)"


def share(part: str, whole: str) -> str:
    """`part` divided by `whole`: 0 if `part` has no series, and no series if `whole` is 0."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"
