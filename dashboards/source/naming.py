# SPDX-License-Identifier: Apache-2.0
"""Names of the request metrics: `configuration.http.naming` of the service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Naming:
    """Names of the request metrics and their labels."""

    suffix: str
    """Suffix of file names and uids."""
    title: str
    """Suffix of dashboard titles; empty for the default naming."""
    duration: str
    active: str
    method: str
    route: str
    status: str


OPEN_TELEMETRY = Naming(
    "", "", "http_server_request_duration_seconds", "http_server_active_requests",
    "http_request_method", "http_route", "http_response_status_code",
)
PROMETHEUS = Naming(
    "-prometheus", "Prometheus naming", "http_request_duration_seconds", "http_requests_in_flight",
    "method", "route", "code",
)
NAMINGS = (OPEN_TELEMETRY, PROMETHEUS)
