# SPDX-License-Identifier: Apache-2.0
"""Text that has broken parsers or could: fixed fragments, and Hypothesis strategies based on
them."""

import math

from hypothesis import strategies as st

# Each could be mistaken for syntax or cut a value short.
FRAGMENTS = [
    *('"', "\\", "\n", "\r", "\r\n", "\t", " ", "\0", "\x1b", "\x7f", "\x85", "\x1c", "\x0b"),
    *("\u2028", "\u2029", "\u00a0", "\u200b", "\u202e", "\ufeff", "\ufffd", "\uffff", "\U0010ffff"),
    *("{", "}", ",", "=", "#", "'", "`", "_", "+Inf", "NaN", "-0", "1e309", "0x10", "1_000"),
    *("\\n", "\\\\", '\\"', "\\x00", '"} 1\n', '",le="+Inf', 'a="b",c="d"', "} 1 2\n#"),
    *("# HELP x y", "# TYPE x counter", "# EOF", ' # {trace_id="1"} 1', "__name__", "%00", "${x}"),
    *("\U0001f600", "\U0001f469\u200d\U0001f680", "e\u0301", "\u00e9", "\u1e9b\u0323", "\u05d0"),
]

LONGEST_VALUE = 1_024
"""The longest label value in bytes; longer values are truncated."""

scalars = st.characters(exclude_categories=["Cs"])
"""Any Unicode scalar value."""

texts = st.one_of(
    st.text(scalars, max_size=LONGEST_VALUE // 4),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), scalars), max_size=30).map("".join),
    st.builds(
        lambda part, count: part * min(count, LONGEST_VALUE // len(part.encode())),
        st.sampled_from(FRAGMENTS),
        st.integers(0, 500),
    ),
)
"""Any text that is not truncated, with more hostile text than a random choice would give."""

VALUES = sorted(
    {
        *FRAGMENTS,
        *(f"a{part}b" for part in FRAGMENTS),
        *(part + part for part in FRAGMENTS),
        *(f'"{part}' for part in FRAGMENTS),
        *(f'{part}"' for part in FRAGMENTS),
        *(f"\\{part}" for part in FRAGMENTS),
        *(f"{part}\\" for part in FRAGMENTS),
        *(f"\0{part}\0" for part in FRAGMENTS),
        *(part * (LONGEST_VALUE // len(part.encode())) for part in FRAGMENTS),
    }
)
"""Every fragment alone, combined, at either end, and repeated."""

LONGEST = [part * (LONGEST_VALUE // len(part.encode())) for part in ["x", '"', "\U0001f600"]]
"""Label values of the maximum length."""

NUMBERS = [0.0, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, 1e21, 1e-7, 2.0**53]
"""Numbers of every kind except NaN, which equals no number."""


def every_scalar() -> list[str]:
    """All Unicode scalar values, 256 in each text: at most 1,024 bytes."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    return ["".join(every[start : start + 256]) for start in range(0, len(every), 256)]
