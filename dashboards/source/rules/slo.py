# SPDX-License-Identifier: Apache-2.0
"""Error and latency budgets of requests: recording rules, and alerts on high burn rates.

Each alert has two windows, as in Google's SRE workbook, "Alerting on SLOs": the long one shows that the
burn is significant, the short one that it still continues.
"""

from functions import either
from naming import Naming
from rules.model import Alert, Case, Group, Record, ours

BASE = "5m"
"""The only window that is computed from the targets' series, since the cost of that grows with their number.
Longer windows are means of the recorded series of this one: one per job, however many instances it has."""
LONGER = ("30m", "1h", "2h", "6h", "1d", "3d")
ERROR_BUDGET = "0.001"
"""The share of requests that may fail."""
SLOW_BUDGET = "0.01"
"""The share of requests that may take longer than SLOW."""
SLOW = "0.25"
"""Seconds; a bucket bound of every layout of the library."""
MIN_RATE = "0.1"
"""Requests per second; below it, a single failure does not indicate a trend."""


def request_rate(duration: str, window: str, matcher: str = "") -> str:
    """Requests per second by job, of targets with classic histograms and of those with native ones."""
    classic, native = (f"rate({duration}{suffix}{matcher}[{window}])" for suffix in ("_count", ""))
    requests = either(classic, f"histogram_count({native})")
    return f"sum by (job) ({ours(f'({requests})')})"


def fast_request_rate(duration: str, window: str) -> str:
    """Requests per second by job that took at most SLOW."""
    classic, native = f'rate({duration}_bucket{{le="{SLOW}"}}[{window}])', f"rate({duration}[{window}])"
    # The fraction of a native histogram without observations is NaN, which would make the sum NaN.
    share = f"histogram_fraction(0, {SLOW}, {native}) * (histogram_count({native}) > 0)"
    requests = either(classic, share)
    return f"sum by (job) ({ours(f'({requests})')})"


REQUESTS, ERRORS, SLOWER = (f"job:http_server_{kind}" for kind in ("requests", "errors", "slow"))


def base_records(names: Naming) -> tuple[Record, ...]:
    """Requests per second of each job: all, those that failed, and those that took too long."""
    requests = f"{REQUESTS}:rate{BASE}"
    failed = request_rate(names.duration, BASE, f'{{{names.status}=~"5..|"}}')
    return (
        Record(requests, request_rate(names.duration, BASE)),
        # Without failures there is no series; the rule then records 0.
        Record(f"{ERRORS}:rate{BASE}", f"{failed} or {requests} * 0"),
        Record(f"{SLOWER}:rate{BASE}", f"{requests} - {fast_request_rate(names.duration, BASE)}"),
        *(Record(f"{kind}:ratio_rate{BASE}", f"{kind}:rate{BASE} / ({requests} > 0)") for kind in (ERRORS, SLOWER)),
    )


def longer_records(window: str) -> tuple[Record, ...]:
    """Rates over a longer window: mean failures divided by mean requests, so that busy minutes count more."""
    def mean(kind: str) -> str:
        return f"avg_over_time({kind}:rate{BASE}[{window}])"

    requests = f"{REQUESTS}:rate{window}"
    return (
        Record(requests, mean(REQUESTS)),
        *(Record(f"{kind}:ratio_rate{window}", f"{mean(kind)} / ({requests} > 0)") for kind in (ERRORS, SLOWER)),
    )


def slo(names: Naming) -> Group:
    """The recording rules of the budgets."""
    return Group("outrider-slo", base_records(names) + tuple(record for window in LONGER for record in longer_records(window)))


def burn_condition(kind: str, budget: str, *pairs: tuple[str, str, str]) -> str:
    """A condition: a budget burns by a factor over both windows of a pair, with traffic in the short one."""
    def burn(factor: str, long: str, short: str) -> str:
        ratio = f"job:http_server_{kind}:ratio_rate"
        return (
            f"({ratio}{long} > {factor} * {budget} and {ratio}{short} > {factor} * {budget}"
            f" and job:http_server_requests:rate{short} > {MIN_RATE})"
        )

    return "\nor\n".join(burn(*pair) for pair in pairs)


FAST_BURN = (("14.4", "1h", "5m"), ("6", "6h", "30m"))
SLOW_BURN = (("3", "1d", "2h"), ("1", "3d", "6h"))


def budgets(names: Naming) -> Group:
    """Alerts on budgets that burn too fast."""
    def series(suffix: str, *labels: str) -> str:
        return f"{names.duration}_{suffix}{{{','.join((f'{names.route}={chr(34)}/orders/{{id}}{chr(34)}', *labels))}}}"

    good = series("count", f'{names.status}="200"')
    bad = series("count", f'{names.status}="503"')
    in_time = series("bucket", f'le="{SLOW}"')
    return Group(
        "outrider-budgets",
        (
            Alert(
                "OutriderErrorBudgetBurn", burn_condition("errors", ERROR_BUDGET, *FAST_BURN), "critical",
                "{{ $labels.job }} burns its error budget fast",
                "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end with a status of 500 or above; "
                "at this rate the 30-day budget is spent within five days.",
                minutes=2,
                cases=(
                    Case({good: "0+600x90", bad: "0+20x90"}, 80, True),
                    Case({good: "0+600x90", bad: "0+3x90"}, 80, False),
                    # The failures have ended; only the long window still contains them.
                    Case({good: "0+600x90", bad: "0+60x40 2400x50"}, 80, False),
                    # With so little traffic, failures do not indicate a trend.
                    Case({good: "0+1x90", bad: "0+1x90"}, 80, False),
                ),
            ),
            Alert(
                "OutriderErrorBudgetBurnSlow", burn_condition("errors", ERROR_BUDGET, *SLOW_BURN), "warning",
                "{{ $labels.job }} has burned its error budget for hours",
                "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end with a status of 500 or above: too "
                "few to page anyone, too many to ignore.",
                minutes=15,
                cases=(
                    Case({good: "0+1200x800", bad: "0+6x800"}, 1_560, True, step=2),
                    Case({good: "0+12000x800", bad: "0+6x800"}, 1_560, False, step=2),
                ),
            ),
            Alert(
                "OutriderLatencyBudgetBurn", burn_condition("slow", SLOW_BUDGET, *FAST_BURN), "critical",
                "{{ $labels.job }} burns its latency budget fast",
                f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.job }}}} take longer than {SLOW} s.",
                minutes=2,
                cases=(
                    Case({good: "0+600x90", in_time: "0+480x90"}, 80, True),
                    Case({good: "0+600x90", in_time: "0+590x90"}, 80, False),
                ),
            ),
            Alert(
                "OutriderLatencyBudgetBurnSlow", burn_condition("slow", SLOW_BUDGET, *SLOW_BURN), "warning",
                "{{ $labels.job }} has burned its latency budget for hours",
                f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.job }}}} take longer than {SLOW} s.",
                minutes=15,
                cases=(
                    Case({good: "0+1200x800", in_time: "0+1147x800"}, 1_560, True, step=2),
                    Case({good: "0+1200x800", in_time: "0+1199x800"}, 1_560, False, step=2),
                ),
            ),
        ),
    )
