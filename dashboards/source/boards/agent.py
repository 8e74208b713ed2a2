# SPDX-License-Identifier: Apache-2.0
"""Outrider itself: what a scrape costs, what it refused, and what it takes from its host."""

from boards.board import Row, built
from boards.kit import PAGE, Bound, Query, graph, heat, number
from boards.promql import Histogram, gauge, increase, rate, total
from naming import OPEN_TELEMETRY

WHERE = ("job", "instance")
OF = "{{instance}}"
SCRAPE = Histogram("outrider_scrape_duration_seconds")
ANY = (Bound(1e-9, "yellow", "nothing should be refused"),)
SLOW = (
    Bound(0.1, "yellow", "a scrape that is felt in the CPU of the host"),
    Bound(1, "red", "near the timeout of many servers"),
)
OVERHEAD = (
    Bound(0.005, "yellow", "half of the sampler's budget as it is set by default"),
    Bound(0.01, "red", "the whole of it"),
)
NONE = f"{total(gauge('outrider_build_info'))} * 0"
SAMPLER = f"{total(rate('outrider_heap_sampler_seconds_total'), *WHERE)} / ({total(rate('process_cpu_seconds_total'), *WHERE)} > 0)"
REFUSED = ("outrider_registrations_refused_total", "outrider_observations_refused_total")


def grown(*names: str) -> str:
    """By how much counters grew together; none that is there yet is nought."""
    made = " or ".join(increase(name) for name in names)
    return f"sum({made}) or {NONE}"


def now() -> Row:
    """What is well when it is nought."""
    return Row(
        "Now",
        [
            number("Scrape", "Ninety-nine of a hundred scrapes are written within this time.", "s", Query(SCRAPE.quantile(0.99), "p99"),
                   bounds=SLOW),
            number("Overflowed series", "Look-ups of series beyond the limit of a family, in the window of a rate.", "short",
                   Query(grown("outrider_series_overflowed_total"), "look-ups"), bounds=ANY),
            number("Refused", "Registrations and observations that were refused, in the window of a rate.", "short",
                   Query(grown(*REFUSED), "refused"), bounds=ANY),
            number("Failures", "Sources that could not be read and collectors that failed, in the window of a rate.", "short",
                   Query(grown("outrider_source_failures_total", "outrider_collector_failures_total"), "failures"), bounds=ANY),
            number("Connections cut", "Connections of clients that were cut off, in the window of a rate.", "short",
                   Query(grown("outrider_connections_cut_total"), "connections"), bounds=ANY),
            number("Sampler", "Share of the CPU of a process that the heap sampler uses; the worst instance.", "percentunit",
                   Query(f"max({SAMPLER})", "worst"), bounds=OVERHEAD),
        ],
    )


def scrapes() -> Row:
    """What a scrape costs."""
    return Row(
        "Scrapes",
        [
            graph("Duration of scrapes", "How long the agent takes to write an exposition.", "s", Query(SCRAPE.quantile(0.5), "p50"),
                  Query(SCRAPE.quantile(0.99), "p99"), bounds=SLOW),
            heat("Duration, all of them", "Scrapes a second by how long they took.", "s", Query(SCRAPE.buckets(), "{{le}}"),
                 Query(total(SCRAPE.native), "native", native=True)),
            graph("As Prometheus sees it", "How long a scrape took with the network, and with the agent waiting for a CPU.", "s",
                  Query(f"max by (job, instance) ({gauge('scrape_duration_seconds')})", OF), bounds=SLOW, to=(PAGE,)),
            graph("Size", "Bytes of the last exposition, before compression.", "bytes",
                  Query(total(gauge("outrider_scrape_bytes"), *WHERE), OF), to=(PAGE,)),
            graph("Samples", "Samples of a scrape, as Prometheus counted them: what a target costs to keep.", "short",
                  Query(total(gauge("scrape_samples_scraped"), *WHERE), OF), to=(PAGE,)),
            graph("Collectors", "How long each collector took in the last scrape; the worst instance.", "s",
                  Query(f"max by (collector) ({gauge('outrider_collector_duration_seconds')})", "{{collector}}")),
            graph("Answers", "Answers of the endpoint a second, by page and status.", "reqps",
                  Query(total(rate("outrider_http_requests_total"), "page", "code"), "{{page}} {{code}}"), width=12),
            graph("Connections that were cut", "Connections a second that were cut off, by reason.", "cps",
                  Query(total(rate("outrider_connections_cut_total"), "reason"), "{{reason}}"), width=12),
        ],
    )


def refusals() -> Row:
    """What was not recorded, and why."""
    return Row(
        "Overflow and refusals",
        [
            graph("Overflowed series", "Look-ups a second beyond the limit of a family; they count in its series _OVERFLOW.", "cps",
                  Query(total(rate("outrider_series_overflowed_total"), "family"), "{{family}}")),
            graph("Series", "Series of the families that are nearest to their limits, as a share of the limit; the worst instance.",
                  "percentunit",
                  Query(f"max by (family) ({gauge('outrider_series')} / {gauge('outrider_series_limit')})", "{{family}}")),
            graph("All series", "Series of counters, gauges, histograms and infos; those of collectors are not counted.", "short",
                  Query(total(gauge("outrider_registry_series"), *WHERE), OF), to=(PAGE,)),
            graph("Registrations refused", "Metrics a second that were not registered, by reason.", "cps",
                  Query(total(rate("outrider_registrations_refused_total"), "reason"), "{{reason}}")),
            graph("Observations refused", "Values a second that were not recorded, by reason.", "cps",
                  Query(total(rate("outrider_observations_refused_total"), "reason"), "{{reason}}")),
            graph("Label values repaired", "Label values a second that were no UTF-8.", "cps",
                  Query(total(rate("outrider_label_values_repaired_total"), *WHERE), OF), to=(PAGE,)),
            graph("Label values cut", "Label values a second that were too long, and of which the beginning was kept.", "cps",
                  Query(total(rate("outrider_label_values_cut_total"), *WHERE), OF), to=(PAGE,)),
            graph("Log lines dropped", "Lines of Outrider's log a second that standard error did not take at once.", "cps",
                  Query(total(rate("outrider_log_lines_dropped_total"), *WHERE), OF)),
            graph("Sources that failed", "Looks a second at a source that was not there or did not say what it should.", "cps",
                  Query(total(rate("outrider_source_failures_total"), "source", "reason"), "{{source}} {{reason}}")),
            graph("Failures", "Scrapes a second that a collector held up beyond its limit, parts of the agent that did not start, and "
                  "descriptors of its endpoint that other code of the process has closed.",
                  "cps", Query(total(rate("outrider_collector_failures_total"), "collector"), "{{collector}}"),
                  Query(total(rate("outrider_start_failures_total"), "reason"), "start: {{reason}}"),
                  Query(total(rate("outrider_descriptors_lost_total")), "descriptors closed")),
        ],
    )


def overhead() -> Row:
    """What the agent takes from its host."""
    return Row(
        "Overhead",
        [
            graph("CPU of the heap sampler", "Share of the CPU of a process that the heap sampler uses, estimated.", "percentunit",
                  Query(SAMPLER, OF), bounds=OVERHEAD, to=(PAGE,)),
            graph("Samples of the heap", "Samples taken a second, and those refused, by reason.", "cps",
                  Query(total(rate("outrider_heap_samples_taken_total")), "taken"),
                  Query(total(rate("outrider_heap_samples_refused_total"), "reason"), "refused: {{reason}}")),
            graph("Samples kept", "Sampled blocks that were not freed; each keeps its stack.", "short",
                  Query(total(gauge("outrider_heap_samples"), *WHERE), OF), to=(PAGE,)),
            graph("Sampling interval", "Bytes between two samples; 0 while the sampler is off.", "bytes",
                  Query(total(gauge("outrider_heap_sampling_interval_bytes"), *WHERE), OF)),
            graph("Malloc hooks", "Instances by the state of their hooks: absent means that no heap profile can be taken.", "short",
                  Query(total(gauge("outrider_heap_hooks"), "state"), "{{state}}"), stacked=True),
            graph("Stacks cut short", "Stacks a second that were deeper than is kept, by profile.", "cps",
                  Query(total(rate("outrider_profile_stacks_truncated_total"), "profile"), "{{profile}}")),
            graph("Readings beside scrapes", "How long a reading took that is made beside scrapes; the worst instance.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_duration_seconds')})", "{{reading}}")),
            graph("Age of readings", "How old what is shown of a reading is; the worst instance.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_age_seconds')})", "{{reading}}"),
                  Query(f"max({gauge('process_open_fds_age_seconds')})", "open_fds")),
            graph("Longest pause of a reading", "The longest that one call of a reading may have kept threads waiting; the worst "
                  "instance. Above 5 ms its source is switched off.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_longest_pause_seconds')})", "{{reading}}")),
            graph("Agents", "Instances by version of the agent and of Swift.", "short",
                  Query(f"count by (version, swift_version) ({gauge('outrider_build_info')})", "{{version}}, Swift {{swift_version}}")),
        ],
    )


def agent() -> str:
    """The dashboard of Outrider itself."""
    return built(
        "agent", "Agent",
        "Outrider itself: what a scrape costs, which series overflowed, what was refused, and what the agent takes from its host.",
        [now(), scrapes(), refusals(), overhead()], OPEN_TELEMETRY,
    )
