# SPDX-License-Identifier: Apache-2.0
"""Error and latency budgets of requests: what is recorded, and what burns them too fast.

Two windows each, as in Google's SRE workbook, "Alerting on SLOs": the long one says that it matters, the short
one that it still goes on.
"""

from model import Alert, Case, Group, Record, ours

COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
ERROR_BUDGET = "0.001"
"""Of all requests, those that may fail."""
SLOW_BUDGET = "0.01"
"""Of all requests, those that may take longer than SLOW."""
SLOW = "0.25"
"""Seconds; a bucket of every layout that the library comes with."""
LEAST_RATE = "0.1"
"""Requests a second, below which a single failure is no trend."""


def recorded(window: str) -> tuple[Record, ...]:
    """The ratios of one window."""
    requests = f"job:http_server_requests:rate{window}"
    def total(series: str) -> str:
        return f"sum by (job) ({ours(f'rate({series}[{window}])')})"

    failed = total(COUNT + '{http_response_status_code=~"5.."}')
    quick = total(BUCKET + f'{{le="{SLOW}"}}')
    return (
        Record(requests, total(COUNT)),
        # No failure is no series: then the ratio is none, not absent.
        Record(
            f"job:http_server_errors:ratio_rate{window}",
            f"({failed} or {requests} * 0) / ({requests} > 0)",
        ),
        Record(f"job:http_server_slow:ratio_rate{window}", f"1 - {quick} / ({requests} > 0)"),
    )


def burns(kind: str, budget: str, *pairs: tuple[str, str, str]) -> str:
    """A budget that burns by a factor over a long and a short window, with some traffic in the short one."""
    def burn(factor: str, long: str, short: str) -> str:
        ratio = f"job:http_server_{kind}:ratio_rate"
        return (
            f"({ratio}{long} > {factor} * {budget} and {ratio}{short} > {factor} * {budget}"
            f" and job:http_server_requests:rate{short} > {LEAST_RATE})"
        )

    return "\nor\n".join(burn(*pair) for pair in pairs)


FAST = (("14.4", "1h", "5m"), ("6", "6h", "30m"))
LASTING = (("3", "1d", "2h"), ("1", "3d", "6h"))
GOOD = COUNT + '{http_route="/orders/{id}",http_response_status_code="200"}'
BAD = COUNT + '{http_route="/orders/{id}",http_response_status_code="503"}'
IN_TIME = BUCKET + f'{{http_route="/orders/{{id}}",le="{SLOW}"}}'

SLO = Group("outrider-slo", tuple(record for window in WINDOWS for record in recorded(window)))

BUDGETS = Group(
    "outrider-budgets",
    (
        Alert(
            "OutriderErrorBudgetBurn", burns("errors", ERROR_BUDGET, *FAST), "critical",
            "{{ $labels.job }} fails far more requests than it may",
            "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end with a status of 500 or above; "
            "at this rate the budget of thirty days is gone within five.",
            minutes=2,
            cases=(
                Case({GOOD: "0+600x90", BAD: "0+20x90"}, 80, True),
                Case({GOOD: "0+600x90", BAD: "0+3x90"}, 80, False),
                # It is over: only the long window still sees it.
                Case({GOOD: "0+600x90", BAD: "0+60x40 2400x50"}, 80, False),
                # One of a handful is no trend.
                Case({GOOD: "0+1x90", BAD: "0+1x90"}, 80, False),
            ),
        ),
        Alert(
            "OutriderErrorBudgetBurnSlow", burns("errors", ERROR_BUDGET, *LASTING), "warning",
            "{{ $labels.job }} has failed more requests than it may, for hours",
            "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end with a status of 500 or above: too "
            "few for an alarm at night, too many to go on.",
            minutes=15,
            cases=(
                Case({GOOD: "0+9000x110", BAD: "0+45x110"}, 1_560, True, step=15),
                Case({GOOD: "0+90000x110", BAD: "0+45x110"}, 1_560, False, step=15),
            ),
        ),
        Alert(
            "OutriderLatencyBudgetBurn", burns("slow", SLOW_BUDGET, *FAST), "critical",
            "{{ $labels.job }} is too slow for far more requests than it may",
            f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.job }}}} take longer than {SLOW} s.",
            minutes=2,
            cases=(
                Case({GOOD: "0+600x90", IN_TIME: "0+480x90"}, 80, True),
                Case({GOOD: "0+600x90", IN_TIME: "0+590x90"}, 80, False),
            ),
        ),
        Alert(
            "OutriderLatencyBudgetBurnSlow", burns("slow", SLOW_BUDGET, *LASTING), "warning",
            "{{ $labels.job }} has been too slow for more requests than it may, for hours",
            f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.job }}}} take longer than {SLOW} s.",
            minutes=15,
            cases=(
                Case({GOOD: "0+9000x110", IN_TIME: "0+8600x110"}, 1_560, True, step=15),
                Case({GOOD: "0+9000x110", IN_TIME: "0+8990x110"}, 1_560, False, step=15),
            ),
        ),
    ),
)
