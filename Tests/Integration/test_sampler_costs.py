# SPDX-License-Identifier: Apache-2.0
"""What the heap sampler says that it takes, which its budget is judged by, beside what it takes."""

import pytest

from harness import clean_environment
from preloading import HOOKS, compiled, run

pytestmark = pytest.mark.compute


def test_the_sampler_says_what_it_takes() -> None:
    sources = [str(file) for part in HOOKS for file in sorted(part.glob("*.c"))]
    program = compiled("costs.c", *(f"-I{part}/include" for part in HOOKS), *sources)
    ended = run([program], clean_environment())
    assert (ended.status, ended.output) == (0, b"the sampler says what it takes\n"), ended.errors
