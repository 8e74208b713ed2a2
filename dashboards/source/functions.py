# SPDX-License-Identifier: Apache-2.0
"""Which functions the server knows that queries are for.

VictoriaMetrics refuses a query that names a function of native histograms other than `histogram_quantile`, whatever stands
beside it. What is made for it asks for classic histograms alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_of_native_histograms = [True]


@contextmanager
def without_native_histograms() -> Iterator[None]:
    """Has the queries that are made meanwhile ask for classic histograms alone."""
    _of_native_histograms.append(False)
    try:
        yield
    finally:
        _of_native_histograms.pop()


def know_native_histograms() -> bool:
    """Whether queries may ask for native histograms."""
    return _of_native_histograms[-1]


def either(classic: str, native: str) -> str:
    """What classic histograms answer, or native ones where there are no classic ones."""
    return f"{classic} or {native}" if know_native_histograms() else classic
