# SPDX-License-Identifier: Apache-2.0
"""Alerts about targets, processes and instruments."""

from rules.model import OURS, Alert, Case, Group, ours

UP = "up"
RECENT = "[1d]"
"""How long a target counts as an Outrider target after its last successful scrape."""

DELAYS = 'swift_executor_delay_seconds_bucket{executor="global",le='
WITHIN_BOUND, BEYOND_BOUND, ALL_JOBS = (f'{DELAYS}"{bound}"}}' for bound in ("0.1", "0.5", "+Inf"))
PENDING = 'db_client_connection_pending_requests{db_client_connection_pool_name="db"}'
USED = 'db_client_connection_count{db_client_connection_pool_name="db",state="used"}'
MAXIMUM = 'db_client_connection_max{db_client_connection_pool_name="db"}'

TARGETS = Group(
    "outrider-targets",
    (
        Alert(
            "OutriderScrapeFailing",
            f"up == 0 and on (job, instance) count by (job, instance) (last_over_time({OURS}{RECENT}))",
            "critical", "scrapes of {{ $labels.instance }} of {{ $labels.job }} fail",
            "Prometheus cannot scrape an agent that it scraped within the last day.",
            minutes=2,
            cases=(
                Case({OURS: "1x10 _x20", UP: "1x10 0x20"}, 20, True),
                Case({OURS: "1x30", UP: "1x30"}, 20, False),
                # A target without Outrider.
                Case({OURS: "_x30", UP: "0x30"}, 20, False),
            ),
        ),
        Alert(
            "OutriderTargetAbsent",
            f"count by (job) (last_over_time({OURS}{RECENT})) unless on (job) count by (job) ({OURS})",
            "critical", "no instance of {{ $labels.job }} is scraped",
            "Prometheus scraped {{ $value }} instances within the last day and scrapes none now. If the job was removed on "
            "purpose, the alert ends after a day.",
            minutes=5,
            cases=(
                Case({OURS: "1x10 stale _x30"}, 25, True),
                Case({OURS: "1x40"}, 25, False),
            ),
        ),
        Alert(
            "OutriderSeriesNearLimit",
            "max by (job, instance, family) (outrider_series / outrider_series_limit) > 0.8",
            "warning", "{{ $labels.family }} of {{ $labels.instance }} is near its series limit",
            "It uses {{ $value | humanizePercentage }} of its limit. At the limit, new label sets share one series, _OVERFLOW.",
            minutes=5,
            cases=(
                Case({'outrider_series{family="orders_total"}': "700x10 900x20",
                      'outrider_series_limit{family="orders_total"}': "1000x30"}, 20, True, {"family": "orders_total"}),
                Case({'outrider_series{family="orders_total"}': "700x30",
                      'outrider_series_limit{family="orders_total"}': "1000x30"}, 20, False),
            ),
        ),
        Alert(
            "OutriderSeriesOverflow",
            "sum by (job, instance, family) (increase(outrider_series_overflowed_total[15m])) > 0",
            "warning", "{{ $labels.family }} of {{ $labels.instance }} reached its series limit",
            "New label sets share one series, _OVERFLOW. The agent's page at / names the label that grows.",
            cases=(
                Case({'outrider_series_overflowed_total{family="orders_total"}': "0x10 5+5x20"}, 20, True,
                     {"family": "orders_total"}),
                Case({'outrider_series_overflowed_total{family="orders_total"}': "5x30"}, 20, False),
            ),
        ),
    ),
)

PROCESS = Group(
    "outrider-process",
    (
        Alert(
            "OutriderCrashLoop", ours("changes(process_start_time_seconds[15m]) >= 3"), "critical",
            "{{ $labels.instance }} of {{ $labels.job }} restarts repeatedly",
            "It started {{ $value }} times within 15 minutes.",
            cases=(
                Case({"process_start_time_seconds": "100x3 200x3 300x3 400x20"}, 14, True),
                Case({"process_start_time_seconds": "100x10 200x20"}, 20, False),
            ),
        ),
        Alert(
            "OutriderFileDescriptorsLow", ours("process_open_fds / process_max_fds > 0.8"), "warning",
            "{{ $labels.instance }} has used {{ $value | humanizePercentage }} of its file descriptors",
            "Without free descriptors it can neither accept connections nor open files.",
            minutes=10,
            cases=(
                Case({"process_open_fds": "900x30", "process_max_fds": "1024x30"}, 20, True),
                Case({"process_open_fds": "500x30", "process_max_fds": "1024x30"}, 20, False),
            ),
        ),
        Alert(
            "OutriderMemoryLeak",
            ours(
                'predict_linear(process_memory_part_bytes{part=~"live_heap|heap"}[2h], 6 * 3600)'
                " > on (job, instance) group_left () 0.9 * cgroup_memory_limit_bytes"
                ' and deriv(process_memory_part_bytes{part=~"live_heap|heap"}[30m]) > 0'
            ),
            "warning", "the heap of {{ $labels.instance }} will reach 90 % of the memory limit within six hours",
            "The heap has grown for two hours and is still growing. The difference of two heap profiles shows which stacks "
            "allocated it.",
            minutes=30,
            cases=(
                Case({'process_memory_part_bytes{part="live_heap"}': "1e8+3e7x20",
                      "cgroup_memory_limit_bytes": "1e9x20"}, 180, True, {"part": "live_heap"}, step=15),
                Case({'process_memory_part_bytes{part="heap"}': "1e8+3e7x20",
                      "cgroup_memory_limit_bytes": "1e9x20"}, 180, True, {"part": "heap"}, step=15),
                Case({'process_memory_part_bytes{part="live_heap"}': "1e8+1e6x20",
                      "cgroup_memory_limit_bytes": "1e9x20"}, 180, False, step=15),
            ),
        ),
        Alert(
            "OutriderFragmentation",
            ours(
                'process_memory_part_bytes{part="allocator_slack"} > 256 * 1024 * 1024'
                ' and on (job, instance) process_memory_part_bytes{part="allocator_slack"}'
                " > on (job, instance) 0.5 * process_resident_memory_bytes"
            ),
            "info", "half of the memory of {{ $labels.instance }} is free memory kept by the allocator",
            "{{ $value | humanize1024 }}B are freed blocks that the allocator keeps: a peak that has passed, or fragmentation. "
            "This is not a leak.",
            minutes=30,
            cases=(
                Case({'process_memory_part_bytes{part="allocator_slack"}': "6e8x60",
                      "process_resident_memory_bytes": "1e9x60"}, 50, True, {"part": "allocator_slack"}),
                Case({'process_memory_part_bytes{part="allocator_slack"}': "3e8x60",
                      "process_resident_memory_bytes": "1e9x60"}, 50, False),
            ),
        ),
        Alert(
            "OutriderThreadLeak", ours("deriv(process_threads[1h]) * 3600 > 20 and process_threads > 64"), "warning",
            "{{ $labels.instance }} gains {{ $value | humanize }} threads per hour",
            "Threads are created and never end. The metric threads shows their names.",
            minutes=30,
            cases=(
                Case({"process_threads": "60+15x20"}, 180, True, step=15),
                Case({"process_threads": "100x20"}, 180, False, step=15),
            ),
        ),
        Alert(
            "OutriderCPUThrottled",
            ours("rate(cgroup_cpu_throttled_periods_total[5m]) / rate(cgroup_cpu_periods_total[5m]) > 0.25"), "info",
            "{{ $labels.instance }} is throttled in {{ $value | humanizePercentage }} of its periods",
            "It uses up the CPU limit of its control group and is stopped for the rest of the period.",
            minutes=15,
            cases=(
                Case({"cgroup_cpu_throttled_periods_total": "0+300x40", "cgroup_cpu_periods_total": "0+600x40"}, 30, True),
                Case({"cgroup_cpu_throttled_periods_total": "0+60x40", "cgroup_cpu_periods_total": "0+600x40"}, 30, False),
            ),
        ),
        Alert(
            "OutriderExecutorDelay",
            # Of targets with classic histograms, and of those with native ones.
            "histogram_quantile(0.9, sum by (job, instance, executor, le) ("
            + ours("rate(swift_executor_delay_seconds_bucket[5m])") + ")) > 0.1\n"
            "or histogram_quantile(0.9, sum by (job, instance, executor) ("
            + ours("rate(swift_executor_delay_seconds[5m])") + ")) > 0.1",
            "warning", "jobs wait {{ $value | humanizeDuration }} for the {{ $labels.executor }} executor of {{ $labels.instance }}",
            "There is too much work, or code blocks its threads. See /debug/stalls of the agent.",
            minutes=10,
            cases=(
                Case({WITHIN_BOUND: "0+30x30",
                      BEYOND_BOUND: "0+60x30",
                      ALL_JOBS: "0+60x30"}, 25, True,
                     {"executor": "global"}),
                Case({WITHIN_BOUND: "0+60x30",
                      BEYOND_BOUND: "0+60x30",
                      ALL_JOBS: "0+60x30"}, 25, False),
            ),
        ),
        Alert(
            "OutriderStall", "sum by (job, instance, what) (increase(outrider_stalls_total[10m])) > 0", "warning",
            "the {{ $labels.what }} of {{ $labels.instance }} stalled",
            "/debug/stalls of the agent has the stack of the stalled thread.",
            cases=(
                Case({'outrider_stalls_total{what="main_actor"}': "0x10 1x20"}, 15, True, {"what": "main_actor"}),
                Case({'outrider_stalls_total{what="main_actor"}': "1x30"}, 20, False),
            ),
        ),
    ),
)

INSTRUMENTS = Group(
    "outrider-instruments",
    (
        Alert(
            "OutriderPoolExhausted",
            ours(
                "min_over_time(db_client_connection_pending_requests[2m]) > 0"
                ' and on (job, instance, db_client_connection_pool_name) db_client_connection_count{state="used"}'
                " >= on (job, instance, db_client_connection_pool_name) db_client_connection_max"
            ),
            "warning", "the pool {{ $labels.db_client_connection_pool_name }} of {{ $labels.instance }} is exhausted",
            "All of its connections are in use, and at least {{ $value }} requests waited for one throughout the last two minutes.",
            minutes=2,
            cases=(
                Case({PENDING: "5x20",
                      USED: "4x20",
                      MAXIMUM: "4x20"}, 10, True,
                     {"db_client_connection_pool_name": "db"}),
                # Requests wait only now and then.
                Case({PENDING: "5 0 5 0 5 0 5 0 5 0 5 0 5",
                      USED: "4x20",
                      MAXIMUM: "4x20"}, 10, False),
            ),
        ),
        Alert(
            "OutriderQueueFull",
            ours(
                "(work_queue_depth > on (job, instance, queue) 0.9 * work_queue_capacity"
                " or on (job, instance, queue) increase(work_queue_rejected_total[5m]) > 0)"
            ),
            "warning", "the queue {{ $labels.queue }} of {{ $labels.instance }} is full",
            "It is above 90 % of its capacity, or it rejected work within the last five minutes.",
            minutes=2,
            cases=(
                Case({'work_queue_depth{queue="orders"}': "95x20", 'work_queue_capacity{queue="orders"}': "100x20"}, 10, True,
                     {"queue": "orders"}),
                Case({'work_queue_rejected_total{queue="orders"}': "0+10x20"}, 10, True, {"queue": "orders"}),
                Case({'work_queue_depth{queue="orders"}': "50x20", 'work_queue_capacity{queue="orders"}': "100x20",
                      'work_queue_rejected_total{queue="orders"}': "7x20"}, 10, False),
            ),
        ),
    ),
)
