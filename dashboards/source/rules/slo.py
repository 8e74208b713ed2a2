# SPDX-License-Identifier: Apache-2.0
"""Error and latency budgets of requests: what is recorded, and what burns them too fast.

Two windows each, as in Google's SRE workbook, "Alerting on SLOs": the long one says that it matters, the short
one that it still goes on.
"""

from functions import either
from naming import Naming
from rules.model import Alert, Case, Group, Record, ours

BASE = "5m"
"""The one window that is read from what the targets expose: how much a rule reads grows with their number. Longer windows
are means of what was recorded of this one, a series for each job however many instances it has."""
LONGER = ("30m", "1h", "2h", "6h", "1d", "3d")
ERROR_BUDGET = "0.001"
"""Of all requests, those that may fail."""
SLOW_BUDGET = "0.01"
"""Of all requests, those that may take longer than SLOW."""
SLOW = "0.25"
"""Seconds; a bucket of every layout that the library comes with."""
LEAST_RATE = "0.1"
"""Requests a second, below which a single failure is no trend."""


def counted(duration: str, window: str, matcher: str = "") -> str:
    """Requests a second by job, of targets with classic buckets and of those with native ones."""
    classic, native = (f"rate({duration}{suffix}{matcher}[{window}])" for suffix in ("_count", ""))
    requests = either(classic, f"histogram_count({native})")
    return f"sum by (job) ({ours(f'({requests})')})"


def quick(duration: str, window: str) -> str:
    """Those of them that were answered in time."""
    classic, native = f'rate({duration}_bucket{{le="{SLOW}"}}[{window}])', f"rate({duration}[{window}])"
    # A native histogram without observations has no fraction: not a number, which would make the sum none.
    share = f"histogram_fraction(0, {SLOW}, {native}) * (histogram_count({native}) > 0)"
    requests = either(classic, share)
    return f"sum by (job) ({ours(f'({requests})')})"


REQUESTS, ERRORS, SLOWER = (f"job:http_server_{kind}" for kind in ("requests", "errors", "slow"))


def base(names: Naming) -> tuple[Record, ...]:
    """Requests a second of each job: all, those that failed, and those that took too long."""
    requests = f"{REQUESTS}:rate{BASE}"
    failed = counted(names.duration, BASE, f'{{{names.status}=~"5..|"}}')
    return (
        Record(requests, counted(names.duration, BASE)),
        # No failure is no series: then there are none, not absent ones.
        Record(f"{ERRORS}:rate{BASE}", f"{failed} or {requests} * 0"),
        Record(f"{SLOWER}:rate{BASE}", f"{requests} - {quick(names.duration, BASE)}"),
        *(Record(f"{kind}:ratio_rate{BASE}", f"{kind}:rate{BASE} / ({requests} > 0)") for kind in (ERRORS, SLOWER)),
    )


def longer(window: str) -> tuple[Record, ...]:
    """The same over a longer window: the mean of the failures by the mean of the requests, so that busy minutes count for more."""
    def mean(kind: str) -> str:
        return f"avg_over_time({kind}:rate{BASE}[{window}])"

    requests = f"{REQUESTS}:rate{window}"
    return (
        Record(requests, mean(REQUESTS)),
        *(Record(f"{kind}:ratio_rate{window}", f"{mean(kind)} / ({requests} > 0)") for kind in (ERRORS, SLOWER)),
    )


def slo(names: Naming) -> Group:
    """What the budgets are reckoned from."""
    return Group("outrider-slo", base(names) + tuple(record for window in LONGER for record in longer(window)))


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


def budgets(names: Naming) -> Group:
    """What burns them too fast."""
    def series(suffix: str, *labels: str) -> str:
        return f"{names.duration}_{suffix}{{{','.join((f'{names.route}={chr(34)}/orders/{{id}}{chr(34)}', *labels))}}}"

    good = series("count", f'{names.status}="200"')
    bad = series("count", f'{names.status}="503"')
    in_time = series("bucket", f'le="{SLOW}"')
    return Group(
        "outrider-budgets",
        (
            Alert(
                "OutriderErrorBudgetBurn", burns("errors", ERROR_BUDGET, *FAST), "critical",
                "{{ $labels.job }} burns its error budget fast",
                "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} end with a status of 500 or above; "
                "at this rate the 30-day budget is spent within five days.",
                minutes=2,
                cases=(
                    Case({good: "0+600x90", bad: "0+20x90"}, 80, True),
                    Case({good: "0+600x90", bad: "0+3x90"}, 80, False),
                    # It is over: only the long window still sees it.
                    Case({good: "0+600x90", bad: "0+60x40 2400x50"}, 80, False),
                    # One of a handful is no trend.
                    Case({good: "0+1x90", bad: "0+1x90"}, 80, False),
                ),
            ),
            Alert(
                "OutriderErrorBudgetBurnSlow", burns("errors", ERROR_BUDGET, *LASTING), "warning",
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
                "OutriderLatencyBudgetBurn", burns("slow", SLOW_BUDGET, *FAST), "critical",
                "{{ $labels.job }} burns its latency budget fast",
                f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.job }}}} take longer than {SLOW} s.",
                minutes=2,
                cases=(
                    Case({good: "0+600x90", in_time: "0+480x90"}, 80, True),
                    Case({good: "0+600x90", in_time: "0+590x90"}, 80, False),
                ),
            ),
            Alert(
                "OutriderLatencyBudgetBurnSlow", burns("slow", SLOW_BUDGET, *LASTING), "warning",
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
