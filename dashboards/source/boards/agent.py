# SPDX-License-Identifier: Apache-2.0
"""Dashboard of the agent: cost of scrapes, rejected input, and overhead on the host."""

from boards.board import Row, dashboard_json
from boards.kit import PAGE, Bound, Query, graph, heat, latest
from boards.promql import Histogram, gauge, increase, rate, total
from naming import OPEN_TELEMETRY

WHERE = ("job", "instance")
OF = "{{instance}}"
SCRAPE = Histogram("outrider_scrape_duration_seconds")
ANY = (Bound(1e-9, "yellow", "should be zero"),)
SLOW = (
    Bound(0.1, "yellow", "scrapes use noticeable CPU"),
    Bound(1, "red", "near the scrape timeout of many servers"),
)
OVERHEAD = (
    Bound(0.005, "yellow", "half of the sampler's default budget"),
    Bound(0.01, "red", "the whole default budget"),
)
NONE = f"{total(gauge('outrider_build_info'))} * 0"
SAMPLER = f"{total(rate('outrider_heap_sampler_seconds_total'), *WHERE)} / ({total(rate('process_cpu_seconds_total'), *WHERE)} > 0)"
REFUSED = ("outrider_registrations_refused_total", "outrider_observations_refused_total")


def grown(*names: str) -> str:
    """The summed increase of counters; 0 if none of them exists yet."""
    increases = " or ".join(increase(name) for name in names)
    return f"sum({increases}) or {NONE}"


def overview() -> Row:
    """Scrape time, sampler overhead, and counts that should be zero."""
    return Row(
        "Overview",
        [
            latest("Scrape", "99th percentile of the time to write a scrape.", "s", Query(SCRAPE.quantile(0.99), "p99"),
                   bounds=SLOW),
            latest("Overflowed series", "Lookups beyond the series limit of a family, within the rate interval.", "short",
                   Query(grown("outrider_series_overflowed_total"), "lookups"), bounds=ANY),
            latest("Rejected", "Registrations and observations that were rejected, within the rate interval.", "short",
                   Query(grown(*REFUSED), "rejected"), bounds=ANY),
            latest("Failures", "Kernel files that could not be read and collectors that failed, within the rate interval.", "short",
                   Query(grown("outrider_source_failures_total", "outrider_collector_failures_total"), "failures"), bounds=ANY),
            latest("Connections closed", "Client connections that the agent closed early, within the rate interval.", "short",
                   Query(grown("outrider_connections_cut_total"), "connections"), bounds=ANY),
            latest("Sampler", "Share of a process's CPU time used by the heap sampler; worst instance.", "percentunit",
                   Query(f"max({SAMPLER})", "worst"), bounds=OVERHEAD),
        ],
    )


def scrapes() -> Row:
    """Duration, size and collectors of scrapes, and responses of the endpoint."""
    return Row(
        "Scrapes",
        [
            graph("Scrape duration", "Time that the agent takes to write an exposition.", "s", Query(SCRAPE.quantile(0.5), "p50"),
                  Query(SCRAPE.quantile(0.99), "p99"), bounds=SLOW),
            heat("Scrape duration distribution", "Scrapes per second by duration.", "s", Query(SCRAPE.buckets(), "{{le}}"),
                 Query(total(SCRAPE.native), "native", native=True)),
            graph("Scrape duration at Prometheus", "Scrape time as measured by Prometheus: includes the network and the agent's wait "
                  "for a CPU.", "s",
                  Query(f"max by (job, instance) ({gauge('scrape_duration_seconds')})", OF), bounds=SLOW, to=(PAGE,)),
            graph("Scrape size", "Size of the last exposition, before compression.", "bytes",
                  Query(total(gauge("outrider_scrape_bytes"), *WHERE), OF), to=(PAGE,)),
            graph("Samples", "Samples per scrape as counted by Prometheus: the storage cost of a target.", "short",
                  Query(total(gauge("scrape_samples_scraped"), *WHERE), OF), to=(PAGE,)),
            graph("Collectors", "Duration of each collector in the last scrape; worst instance.", "s",
                  Query(f"max by (collector) ({gauge('outrider_collector_duration_seconds')})", "{{collector}}")),
            graph("Responses", "Responses of the agent's endpoint per second, by page and status.", "reqps",
                  Query(total(rate("outrider_http_requests_total"), "page", "code"), "{{page}} {{code}}"), width=12),
            graph("Connections closed early", "Connections per second that the agent closed early, by reason.", "cps",
                  Query(total(rate("outrider_connections_cut_total"), "reason"), "{{reason}}"), width=12),
        ],
    )


def rejections() -> Row:
    """Values that were not recorded, with the reason."""
    return Row(
        "Overflow and rejections",
        [
            graph("Overflowed series", "Lookups per second beyond the series limit of a family; they count in its _OVERFLOW series.", "cps",
                  Query(total(rate("outrider_series_overflowed_total"), "family"), "{{family}}")),
            graph("Series", "Series of the families nearest to their limits, as a share of the limit; worst instance.",
                  "percentunit",
                  Query(f"max by (family) ({gauge('outrider_series')} / {gauge('outrider_series_limit')})", "{{family}}")),
            graph("All series", "Series of all counters, gauges, histograms and infos, without those of collectors.", "short",
                  Query(total(gauge("outrider_registry_series"), *WHERE), OF), to=(PAGE,)),
            graph("Rejected registrations", "Metrics per second that were not registered, by reason.", "cps",
                  Query(total(rate("outrider_registrations_refused_total"), "reason"), "{{reason}}")),
            graph("Rejected observations", "Values per second that were not recorded, by reason.", "cps",
                  Query(total(rate("outrider_observations_refused_total"), "reason"), "{{reason}}")),
            graph("Repaired label values", "Label values per second that were not valid UTF-8.", "cps",
                  Query(total(rate("outrider_label_values_repaired_total"), *WHERE), OF), to=(PAGE,)),
            graph("Truncated label values", "Label values per second that were too long and were cut to their beginning and a hash.", "cps",
                  Query(total(rate("outrider_label_values_cut_total"), *WHERE), OF), to=(PAGE,)),
            graph("Dropped log lines", "Outrider log lines per second that were dropped because standard error would block.", "cps",
                  Query(total(rate("outrider_log_lines_dropped_total"), *WHERE), OF)),
            graph("Failed reads", "Reads per second of kernel files that were missing, unreadable or malformed.", "cps",
                  Query(total(rate("outrider_source_failures_total"), "source", "reason"), "{{source}} {{reason}}")),
            graph("Failures", "Per second: scrapes that left out a slow or failed collector, parts of the agent that did not start, and "
                  "descriptors of its endpoint that other code in the process closed.",
                  "cps", Query(total(rate("outrider_collector_failures_total"), "collector"), "{{collector}}"),
                  Query(total(rate("outrider_start_failures_total"), "reason"), "start: {{reason}}"),
                  Query(total(rate("outrider_descriptors_lost_total")), "descriptors closed")),
        ],
    )


def overhead() -> Row:
    """CPU time and memory that the agent uses."""
    return Row(
        "Overhead",
        [
            graph("CPU of the heap sampler", "Share of a process's CPU time used by the heap sampler, estimated.", "percentunit",
                  Query(SAMPLER, OF), bounds=OVERHEAD, to=(PAGE,)),
            graph("Heap samples", "Heap samples taken per second, and those dropped, by reason.", "cps",
                  Query(total(rate("outrider_heap_samples_taken_total")), "taken"),
                  Query(total(rate("outrider_heap_samples_refused_total"), "reason"), "dropped: {{reason}}")),
            graph("Live heap samples", "Sampled blocks that were not freed; each keeps its stack.", "short",
                  Query(total(gauge("outrider_heap_samples"), *WHERE), OF), to=(PAGE,)),
            graph("Sampling interval", "Mean bytes between two samples; 0 while the sampler is off.", "bytes",
                  Query(total(gauge("outrider_heap_sampling_interval_bytes"), *WHERE), OF)),
            graph("Malloc hooks", "Instances by state of their malloc hooks; refused and absent mean that heap profiles are "
                  "unavailable.", "short",
                  Query(total(gauge("outrider_heap_hooks"), "state"), "{{state}}"), stacked=True),
            graph("Truncated stacks", "Stacks per second that could not be unwound to their end, by profile.", "cps",
                  Query(total(rate("outrider_profile_stacks_truncated_total"), "profile"), "{{profile}}")),
            graph("Duration of cached readings", "Duration of readings that are made between scrapes; worst instance.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_duration_seconds')})", "{{reading}}")),
            graph("Age of cached readings", "Age of the cached readings that scrapes show; worst instance.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_age_seconds')})", "{{reading}}"),
                  Query(f"max({gauge('process_open_fds_age_seconds')})", "open_fds")),
            graph("Longest pause of a reading", "Longest time that one call of a reading may have blocked other threads; worst "
                  "instance. Above 5 ms a source is switched off.", "s",
                  Query(f"max by (reading) ({gauge('outrider_reading_longest_pause_seconds')})", "{{reading}}")),
            graph("Agents", "Instances by version of the agent and of Swift.", "short",
                  Query(f"count by (version, swift_version) ({gauge('outrider_build_info')})", "{{version}}, Swift {{swift_version}}")),
        ],
    )


def agent() -> str:
    """The agent dashboard."""
    return dashboard_json(
        "agent", "Agent",
        "Outrider itself: cost of scrapes, overflowed series, rejected registrations and observations, and overhead on the host.",
        [overview(), scrapes(), rejections(), overhead()], OPEN_TELEMETRY,
    )
