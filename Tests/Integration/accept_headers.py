# SPDX-License-Identifier: Apache-2.0
"""`Accept` and `Accept-Encoding` headers, and the format that each must select."""

from exposition import OPENMETRICS, OPENMETRICS_0, TEXT, TEXT_1
from protobuf_exposition import PROTOBUF as DELIMITED

OM = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"
PROTOBUF += ";encoding=delimited"
ESCAPINGS = ["allow-utf-8", "underscores", "dots", "values"]


def prometheus_3_5(escaping: str, native: bool = False) -> str:
    """The header of Prometheus 3.5 and later; with native histograms it prefers protobuf."""
    ranges = [
        f"{OM};version=1.0.0;escaping={escaping}",
        f"{OM};version=0.0.1",
        f"text/plain;version=1.0.0;escaping={escaping}",
        "text/plain;version=0.0.4",
        "*/*",
    ]
    if native:
        ranges.insert(0, PROTOBUF)
    return ",".join(f"{one};q=0.{6 - rank}" for rank, one in enumerate(ranges))


OF_2_42 = f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
OF_2_42_NATIVE = f"{PROTOBUF},{OM};version=1.0.0;q=0.8,{OM};version=0.0.1;q=0.75"
OF_2_42_NATIVE += ",text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
# This version does send a q above 1, which is invalid.
OF_2_49 = f"{OM};version=1.0.0;q=0.5,{OM};version=0.0.1;q=0.4"
OF_2_49 += ",text/plain;version=0.0.4;q=0.3,*/*;q=2"
UTF8 = "escaping=allow-utf-8"
OF_3_0 = f"{OM};version=1.0.0;{UTF8};q=0.6,{OM};version=0.0.1;{UTF8};q=0.5"
OF_3_0 += f",text/plain;version=1.0.0;{UTF8};{UTF8};q=0.4,text/plain;version=0.0.4;{UTF8};q=0.3"
OF_3_0 += ",*/*;q=0.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

ACCEPT: dict[str, tuple[str | None, str]] = {
    # Scrapers.
    "Prometheus 2.42": (OF_2_42, OPENMETRICS),
    "Prometheus 2.42, native histograms": (OF_2_42_NATIVE, DELIMITED),
    "Prometheus 2.49": (OF_2_49, OPENMETRICS),
    "Prometheus 3.0": (OF_3_0, f"{OPENMETRICS}; {UTF8}"),
    **{
        f"Prometheus 3.5, {escaping}{', native histograms' if native else ''}": (
            prometheus_3_5(escaping, native),
            DELIMITED if native else f"{OPENMETRICS}; escaping={escaping}",
        )
        for escaping in ESCAPINGS
        for native in (False, True)
    },
    "Prometheus 3.5, text 0.0.4 only": ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", TEXT),
    "Prometheus 3.5, text 1.0.0 only": (
        f"text/plain;version=1.0.0;{UTF8};q=0.6,*/*;q=0.5",
        f"{TEXT_1}; {UTF8}",
    ),
    # Other clients.
    "curl": ("*/*", TEXT),
    "a browser": (BROWSER, TEXT),
    "none": (None, TEXT),
    "empty": ("", TEXT),
    "blank": (" \t ", TEXT),
    "junk": ("!\"#$%&'()=?;;=;q", TEXT),
    "junk beyond ASCII": ("\u00e4\u00f6\u00fc/\u00df;q=\u00bd", TEXT),
    "10,000 bytes of commas": ("," * 10_000, TEXT),
    "10,000 bytes of semicolons": (";" * 10_000, TEXT),
    "10,000 bytes of equals signs": ("text/plain;" + "=" * 9_989, TEXT),
    "protobuf only": (PROTOBUF, DELIMITED),
    "protobuf as text": (PROTOBUF.replace("delimited", "text"), TEXT),
    "protobuf of something else": ("application/vnd.google.protobuf", TEXT),
    "protobuf after OpenMetrics": (f"{PROTOBUF};q=0.5,{OM};version=1.0.0", OPENMETRICS),
    "protobuf refused": (f"{PROTOBUF};q=0,*/*;q=0.1", TEXT),
    "any application type": ("application/*", OPENMETRICS),
    "JSON only": ("application/json", TEXT),
    # Versions.
    "OpenMetrics of any version": (OM, OPENMETRICS),
    "OpenMetrics 0.0.1 only": (f"{OM};version=0.0.1", OPENMETRICS_0),
    "OpenMetrics of a future version": (f"{OM};version=2.0.0", TEXT),
    "text of any version": ("text/plain", TEXT),
    "text 0.0.4": ("text/plain;version=0.0.4", TEXT),
    "text 1.0.0": ("text/plain;version=1.0.0", TEXT_1),
    "text of a future version": ("text/plain;version=9.9.9", TEXT),
    "text 0.0.4 before 1.0.0": ("text/plain;version=1.0.0;q=0.5,text/plain;version=0.0.4", TEXT),
    # Spelling variants that RFC 9110 allows: sections 5.6.6 and 12.5.1.
    "capital letters": (f"{OM.upper()};VERSION=1.0.0;Q=0.9,text/plain;q=0.8", OPENMETRICS),
    "blanks everywhere": (f" {OM} ; version=1.0.0 ; q=0.9 ,\ttext/plain ; q=0.8 ", OPENMETRICS),
    "empty elements": (f",,{OM};version=1.0.0,, ,", OPENMETRICS),
    "another parameter": ("text/plain;charset=utf-8;version=0.0.4", TEXT),
    # Preferences.
    "text before OpenMetrics": (f"{OM};q=0.5,text/plain;q=0.6", TEXT),
    "OpenMetrics refused": (f"{OM};q=0,*/*", TEXT),
    "OpenMetrics refused with three digits": (f"{OM};q=0.000,*/*;q=0.001", TEXT),
    "everything refused": ("*/*;q=0", TEXT),
    "both refused": (f"{OM};q=0,text/plain;q=0", TEXT),
    "any text": ("text/*", TEXT),
    "any text before OpenMetrics": (f"text/*;q=0.5,{OM};q=0.4", TEXT),
    "a tie, text first": (f"text/plain,{OM}", TEXT),
    "a tie, OpenMetrics first": (f"{OM},text/plain", OPENMETRICS),
    "a tie with a range for all": (f"*/*,{OM}", OPENMETRICS),
    "the more specific range decides": (f"{OM};q=0.1,*/*;q=0.9,text/plain;q=0.05", OPENMETRICS),
    # Invalid q values.
    "q over 1 is 1, text first": (f"text/plain,{OM};q=5", TEXT),
    "q over 1 is 1, OpenMetrics first": (f"{OM};q=5,text/plain", OPENMETRICS),
    "a huge q is 1": (f"text/plain,{OM};q={'9' * 400}", TEXT),
    "q below 0 is 0": (f"{OM};q=-1,text/plain;q=0.1", TEXT),
    "a junk q is 1": (f"{OM};q=abc,text/plain;q=0.9", OPENMETRICS),
    "a nan q is 1": (f"{OM};q=nan,text/plain;q=0.9", OPENMETRICS),
    "an empty q is 1": (f"{OM};q=,text/plain;q=0.9", OPENMETRICS),
    # Escaping.
    "an unknown escaping": (f"{OM};version=1.0.0;escaping=rot13", OPENMETRICS),
    "an empty escaping": (f"{OM};version=1.0.0;escaping=", OPENMETRICS),
    "the escaping of a range that is not selected": (
        f"text/plain;version=0.0.4,{OM};version=1.0.0;escaping=dots;q=0.1",
        TEXT,
    ),
    "the escaping of text": (
        "text/plain;version=0.0.4;escaping=underscores",
        f"{TEXT}; escaping=underscores",
    ),
}
"""By the client that sends it: the header, and the `Content-Type` of the response."""

ACCEPT_ENCODING: dict[str | None, bool] = {
    None: False,
    "": False,
    "gzip": True,
    "GZIP": True,
    "x-gzip": True,
    "*": True,
    "gzip, deflate, br, zstd": True,
    "deflate, br, zstd": False,
    "identity": False,
    "gzip;q=0": False,
    "gzip;q=0.000": False,
    "gzip;q=0.001": True,
    "gzip ; q=0.8": True,
    "gzip;Q=0": False,
    "gzip;q=1.0, identity;q=0.5": True,
    "identity;q=1, gzip;q=0.5": False,
    "gzip;q=0.5, identity;q=0.5": True,
    "identity;q=0, gzip": True,
    "identity;q=0": False,
    "identity;q=0, gzip;q=0": False,
    "*;q=0": False,
    "*;q=0, gzip": True,
    "gzip;q=0, *": False,
    "identity, *;q=0.5": False,
    "gzip;q=5": True,
    "gzip;q=-1": False,
    "gzip;q=junk": True,
    "gzipped": False,
    "," * 10_000: False,
    "\u00e4;q=\u00bd": False,
}
"""The header, and whether a body that is large enough is compressed."""
