# SPDX-License-Identifier: Apache-2.0
"""The query functions that the server supports.

VictoriaMetrics rejects any query that contains a function of native histograms other than
`histogram_quantile`. Queries for it therefore select classic histograms only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_native_histograms = [True]


@contextmanager
def without_native_histograms() -> Iterator[None]:
    """Within this context, queries select classic histograms only."""
    _native_histograms.append(False)
    try:
        yield
    finally:
        _native_histograms.pop()


def has_native_histograms() -> bool:
    """Whether queries may select native histograms."""
    return _native_histograms[-1]


def either(classic: str, native: str) -> str:
    """The result from classic histograms, or from native ones where no classic ones exist."""
    return f"{classic} or {native}" if has_native_histograms() else classic
