# SPDX-License-Identifier: Apache-2.0
"""The heap sampler's own estimate of its cost, on which its budget depends, compared with its
actual cost."""

import pytest

from harness import clean_environment
from preload_tools import HOOKS, compiled, run

pytestmark = pytest.mark.compute


def test_the_samplers_estimate_of_its_cost_is_accurate() -> None:
    sources = [str(file) for part in HOOKS for file in sorted(part.glob("*.c"))]
    program = compiled("costs.c", *(f"-I{part}/include" for part in HOOKS), *sources)
    ended = run([program], clean_environment())
    assert (ended.status, ended.output) == (0, b"the sampler says what it takes\n"), ended.errors
