# SPDX-License-Identifier: Apache-2.0
"""Dashboard of the process and runtime: memory, allocation, CPU and threads, executors, event loops, kernel."""

from boards.board import Row, dashboard_json
from boards.kit import HEAP, PAGE, SITES, STALLS, Bound, Query, graph, heat, latest
from boards.promql import Histogram, gauge, increase, rate, top, total
from naming import OPEN_TELEMETRY

WHERE = ("job", "instance")
OF = "{{instance}}"
DELAY = Histogram("swift_executor_delay_seconds")
LOOP_DELAY = Histogram("nio_event_loop_delay_seconds")
TICK = Histogram("nio_event_loop_tick_seconds")
LATE = (
    Bound(0.01, "yellow", "noticeable in request latency"),
    Bound(0.1, "red", "the alert threshold"),
)
THROTTLED = (
    Bound(0.05, "yellow", "noticeable at p99"),
    Bound(0.25, "red", "the alert threshold"),
)
OPEN = (
    Bound(0.5, "yellow", "a burst of connections may need the rest"),
    Bound(0.8, "red", "the alert threshold"),
)
NEAR = (
    Bound(0.8, "yellow", "the kernel begins to reclaim memory"),
    Bound(0.95, "red", "the next peak may be killed by the OOM killer"),
)


def by_instance(expression: str, *more: str) -> str:
    """The sum by instance; the links of a panel need the label `instance`."""
    return total(expression, *WHERE, *more)


def growth(part: str) -> str:
    """Growth of a part of the memory within an hour, by instance. `part` may list alternatives, as in a|b."""
    return by_instance(gauge("process_memory_part_growth_bytes", f'part=~"{part}"'))


LIVE = growth("live_heap|heap")
"""Without a heap profiler, live heap and slack are one part, `heap`."""
BOUND = "16 * 1024 * 1024"
VERDICT = (
    f"({LIVE} > {BOUND} and ({LIVE} >= {growth('allocator_slack')} or {growth('heap')})) * 0 + 1"
    f" or ({growth('allocator_slack')} > {BOUND}) * 0 + 2"
    f" or {LIVE} * 0"
)
"""1: the heap in use grows most; 2: allocator slack grows most; 0: neither has grown by 16 MiB."""
WORDS = {0: ("steady", "green"), 1: ("heap growth: leak or cache", "red"), 2: ("slack growth: fragmentation", "yellow")}
CPU = by_instance(rate("process_cpu_seconds_total"))
THROTTLING = f"{by_instance(rate('cgroup_cpu_throttled_periods_total'))} / ({by_instance(rate('cgroup_cpu_periods_total'))} > 0)"
FDS = f"{by_instance(gauge('process_open_fds'))} / {by_instance(gauge('process_max_fds'))}"


def overview() -> Row:
    """The worst of the selected instances."""
    return Row(
        "Overview",
        [
            latest("Memory", "Largest memory growth of each instance within the last hour. Live heap: a leak or a cache; allocator "
                   "slack: fragmentation or a peak that has passed.", "short", Query(VERDICT, OF), width=8,
                   words=WORDS, to=(HEAP, PAGE)),
            latest("CPU", "CPU cores used by the selected instances.", "short", Query(total(rate("process_cpu_seconds_total")), "cores")),
            latest("Executor delay", "99th percentile of the time that jobs wait for a thread, over all priorities.", "s",
                   Query(DELAY.quantile(0.99), "p99"), bounds=LATE),
            latest("Throttled", "Share of periods in which the control group was throttled; worst instance.",
                   "percentunit", Query(f"max({THROTTLING})", "worst"), bounds=THROTTLED),
            latest("Descriptors", "Share of the file descriptor limit that is in use; worst instance.", "percentunit",
                   Query(f"max({FDS})", "worst"), bounds=OPEN),
        ],
    )


def memory() -> Row:
    """Memory by part, and its growth."""
    limit = by_instance(gauge("cgroup_memory_limit_bytes"))
    return Row(
        "Memory",
        [
            graph("Memory by part", "Resident memory by part. live_heap is memory in use by the service; allocator_slack is free memory "
                  "that malloc "
                  "keeps; heap is both, where there is no heap profiler; rest is unattributed memory.", "bytes",
                  Query(total(gauge("process_memory_part_bytes"), "part"), "{{part}}"), width=12, stacked=True),
            graph("Growth by part", "Difference between the last reading and the oldest one, which is at most one hour old.", "bytes",
                  Query(by_instance(gauge("process_memory_part_growth_bytes"), "part"), f"{OF} {{{{part}}}}"), width=12,
                  to=(HEAP, PAGE)),
            graph("Resident memory", "Resident memory, its peak, and the limit of the control group.", "bytes",
                  Query(by_instance(gauge("process_resident_memory_bytes")), OF),
                  Query(by_instance(gauge("process_resident_memory_peak_bytes")), f"{OF} peak"), Query(limit, f"{OF} limit"),
                  to=(HEAP, PAGE)),
            graph("Control group memory usage", "Share of the group's memory limit that is in use; empty without a limit.",
                  "percentunit", Query(f"{by_instance(gauge('cgroup_memory_usage_bytes'))} / {limit}", OF), bounds=NEAR),
            graph("Control group memory", "Memory of the control group by kind, and swap.", "bytes",
                  Query(total(gauge("cgroup_memory_kind_bytes"), "kind"), "{{kind}}"),
                  Query(total(gauge("cgroup_memory_swap_usage_bytes")), "swap"), stacked=True),
            graph("glibc malloc", "Memory that malloc obtained from the system, in use and free. Off by default: reading it blocks "
                  "other threads.", "bytes",
                  Query(total(gauge("malloc_in_use_bytes")), "in use"), Query(total(gauge("malloc_free_bytes")), "free"),
                  Query(total(gauge("malloc_arena_bytes")), "arenas"), Query(total(gauge("malloc_mmapped_bytes")), "mapped")),
            graph("Resident memory by kind", "Resident anonymous, file and shared memory; swap.", "bytes",
                  Query(total(gauge("process_resident_memory_kind_bytes"), "kind"), "{{kind}}"),
                  Query(total(gauge("process_swap_bytes")), "swap"), stacked=True),
            graph("Control group memory events", "Events per second: memory reclaimed, limit reached, process killed.", "cps",
                  Query(total(rate("cgroup_memory_events_total"), "event"), "{{event}}")),
        ],
    )


def allocation() -> Row:
    """Allocation by instance and by type, with links to the allocation sites."""
    return Row(
        "Allocation",
        [
            graph("Allocated bytes", "Bytes allocated per second, estimated from samples. Click a series for the allocation sites.", "Bps",
                  Query(by_instance(rate("heap_allocated_bytes_total")), OF), to=(SITES, HEAP)),
            graph("Allocations", "Blocks allocated per second, estimated from samples. Click a series for the allocation sites.", "cps",
                  Query(by_instance(rate("heap_allocated_objects_total")), OF), to=(SITES, HEAP)),
            graph("Live heap", "Bytes allocated and not freed, estimated from samples.", "bytes",
                  Query(by_instance(gauge("heap_live_bytes")), OF), to=(HEAP, SITES)),
            graph("Live blocks", "Blocks allocated and not freed, estimated from samples.", "short",
                  Query(by_instance(gauge("heap_live_objects")), OF), to=(HEAP, SITES)),
            graph("Allocated by type", "Bytes of Swift objects allocated per second, by type; top ten.", "Bps",
                  Query(top(10, total(rate("swift_allocated_bytes_total"), "type")), "{{type}}")),
            graph("Objects by type", "Swift objects allocated per second, by type; top ten.", "cps",
                  Query(top(10, total(rate("swift_allocated_objects_total"), "type")), "{{type}}")),
        ],
    )


def threads() -> Row:
    """CPU and threads."""
    return Row(
        "CPU and threads",
        [
            graph("CPU", "CPU cores used, by instance, and the limit of the control group.", "short", Query(CPU, OF),
                  Query(by_instance(gauge("cgroup_cpu_limit_cores")), f"{OF} limit"), to=(PAGE,)),
            graph("CPU by mode", "CPU cores used in user mode and in the kernel.", "short",
                  Query(total(rate("process_cpu_mode_seconds_total"), "mode"), "{{mode}}"), stacked=True),
            graph("Throttling", "Share of periods in which the control group was throttled.", "percentunit",
                  Query(THROTTLING, OF), bounds=THROTTLED),
            graph("Control group CPU", "CPU cores used by the control group, and seconds per second that it was throttled.", "short",
                  Query(total(rate("cgroup_cpu_usage_seconds_total")), "in use"),
                  Query(total(rate("cgroup_cpu_throttled_seconds_total")), "throttled")),
            graph("CPU by thread", "CPU cores used by threads of the same name; top ten.", "short",
                  Query(top(10, total(rate("thread_cpu_seconds_total"), "thread")), "{{thread}}"), stacked=True),
            graph("Waiting for a CPU", "Seconds per second that threads were runnable but waited for a CPU: all threads, and the top five "
                  "names.", "short", Query(total(rate("process_run_queue_seconds_total")), "all threads"),
                  Query(top(5, total(rate("thread_run_queue_seconds_total"), "thread")), "{{thread}}")),
            graph("Threads", "Threads of an instance; a steady rise is a thread leak.", "short",
                  Query(by_instance(gauge("process_threads")), OF), to=(PAGE,)),
            graph("Threads by name", "Threads of the same name; top ten.", "short",
                  Query(top(10, total(gauge("threads"), "thread")), "{{thread}}")),
            graph("Context switches", "Switches per second: voluntary (the thread waited) or involuntary (it was preempted).", "cps",
                  Query(total(rate("process_context_switches_total"), "kind"), "{{kind}}")),
        ],
    )


def executors() -> Row:
    """Delay of Swift's executors, and tasks."""
    by = ("executor", "priority")
    return Row(
        "Swift concurrency",
        [
            graph("Executor delay by priority", "99th percentile of the time that jobs wait for a thread of an executor.", "s",
                  Query(DELAY.quantile(0.99, *by), "{{executor}} {{priority}}"), bounds=LATE),
            heat("Executor delay distribution", "Probe jobs per second by the time that they waited for a thread.", "s",
                 Query(DELAY.buckets(), "{{le}}"), Query(total(DELAY.native), "native", native=True)),
            graph("Oldest executor probe", "Age of the agent's outstanding probe job; shows a stall while it lasts.", "s",
                  Query(f"max by (instance, executor, priority) ({gauge('swift_executor_oldest_probe_age_seconds')})",
                        f"{OF} {{{{executor}}}} {{{{priority}}}}"), bounds=LATE, to=(STALLS, PAGE)),
            graph("Jobs", "Jobs per second enqueued on the global executor.", "cps",
                  Query(by_instance(rate("swift_jobs_enqueued_total")), OF)),
            graph("Live tasks", "Tasks created and not destroyed yet; a steady rise means tasks that never end.", "short",
                  Query(by_instance(gauge("swift_tasks_live")), OF)),
            graph("Created tasks", "Tasks created per second, and those created while the table of live tasks was full.", "cps",
                  Query(total(rate("swift_tasks_created_total")), "created"),
                  Query(total(rate("swift_tasks_untracked_total")), "untracked")),
        ],
    )


def loops() -> Row:
    """SwiftNIO's event loops."""
    return Row(
        "Event loops",
        [
            graph("Event-loop delay", "99th percentile of the delay of a loop's probe task.", "s",
                  Query(LOOP_DELAY.quantile(0.99, "instance", "loop"), f"{OF} {{{{loop}}}}"), bounds=LATE, to=(STALLS, PAGE)),
            graph("Oldest event-loop probe", "Time that a loop's probe task is overdue; shows a stall while it lasts.", "s",
                  Query(f"max by (instance, loop) ({gauge('nio_event_loop_oldest_probe_age_seconds')})", f"{OF} {{{{loop}}}}"),
                  bounds=LATE, to=(STALLS, PAGE)),
            graph("Utilization", "Fraction of time that an event loop was busy.", "percentunit",
                  Query(f"max by (instance, loop) ({gauge('nio_event_loop_utilization_ratio')})", f"{OF} {{{{loop}}}}"), most=1),
            graph("Tick duration", "99th percentile of the duration of event-loop ticks.", "s",
                  Query(TICK.quantile(0.99, "instance", "loop"), f"{OF} {{{{loop}}}}"), width=12),
            graph("Event-loop tasks", "Tasks per second that an event loop ran.", "cps",
                  Query(total(rate("nio_event_loop_tasks_total"), "instance", "loop"), f"{OF} {{{{loop}}}}"), width=12),
        ],
    )


def kernel() -> Row:
    """Kernel statistics: pressure, page faults, descriptors, I/O and network."""
    return Row(
        "Kernel",
        [
            graph("Pressure", "Share of time in which some or all (full) tasks of the control group waited for a resource.", "percentunit",
                  Query(f"max by (resource, kind) ({rate('cgroup_pressure_seconds_total')})", "{{resource}} {{kind}}"),
                  bounds=(Bound(0.1, "yellow", "10 % of the time is lost"),)),
            graph("Stalls", "Stalls of executors and event loops, within the rate interval. Click a series for the stacks.", "short",
                  Query(by_instance(increase("outrider_stalls_total"), "what"), f"{OF} {{{{what}}}}"), to=(STALLS,)),
            graph("Page faults", "Page faults per second; a major fault reads from storage.", "cps",
                  Query(total(rate("process_page_faults_total"), "kind"), "{{kind}}")),
            graph("File descriptors", "Open file descriptors, and their limit.", "short",
                  Query(by_instance(gauge("process_open_fds")), OF), Query(by_instance(gauge("process_max_fds")), f"{OF} limit")),
            graph("Storage I/O", "Bytes per second read from and written to storage.", "Bps",
                  Query(total(rate("process_io_bytes_total"), "direction"), "{{direction}}")),
            graph("Read and write calls", "System calls per second that read or wrote, sockets and pipes included.", "cps",
                  Query(total(rate("process_io_calls_total"), "direction"), "{{direction}}")),
            graph("Sockets", "Sockets of the network namespace by state.", "short",
                  Query(total(gauge("sockets"), "state"), "{{state}}")),
            graph("TCP", "Per second, in the network namespace: connections that found an accept queue full, connections dropped, and "
                  "segments retransmitted.", "cps", Query(total(rate("tcp_listen_overflows_total")), "queue full"),
                  Query(total(rate("tcp_listen_drops_total")), "dropped"), Query(total(rate("tcp_retransmits_total")), "retransmitted")),
            graph("Control group processes", "Processes and threads of the control group, and their limit.", "short",
                  Query(by_instance(gauge("cgroup_pids")), OF), Query(by_instance(gauge("cgroup_pids_limit")), f"{OF} limit")),
            graph("Virtual memory", "Address space in use; much larger than resident memory, and harmless by itself.", "bytes",
                  Query(by_instance(gauge("process_virtual_memory_bytes")), OF), width=24),
        ],
    )


def runtime() -> str:
    """The runtime dashboard."""
    return dashboard_json(
        "runtime", "Runtime",
        "Process and runtime: memory by part and its growth, allocation by site and type, threads, Swift executors, NIO event "
        "loops, and kernel statistics.",
        [overview(), memory(), allocation(), threads(), executors(), loops(), kernel()], OPEN_TELEMETRY,
    )
