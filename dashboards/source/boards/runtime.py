# SPDX-License-Identifier: Apache-2.0
"""A process from within: memory and who allocates, CPU and threads, executors and event loops, what holds it up."""

from boards.board import Row, built
from boards.kit import HEAP, PAGE, SITES, STALLS, Bound, Query, graph, heat, number
from boards.promql import Histogram, gauge, increase, rate, top, total
from naming import OPEN_TELEMETRY

WHERE = ("job", "instance")
OF = "{{instance}}"
DELAY = Histogram("swift_executor_delay_seconds")
LOOP_DELAY = Histogram("nio_event_loop_delay_seconds")
TICK = Histogram("nio_event_loop_tick_seconds")
LATE = (
    Bound(0.01, "yellow", "felt in the latency of requests"),
    Bound(0.1, "red", "the bound of the alert"),
)
THROTTLED = (
    Bound(0.05, "yellow", "felt at p99"),
    Bound(0.25, "red", "the bound of the alert"),
)
OPEN = (
    Bound(0.5, "yellow", "a burst of connections may need the rest"),
    Bound(0.8, "red", "the bound of the alert"),
)
NEAR = (
    Bound(0.8, "yellow", "the kernel begins to reclaim"),
    Bound(0.95, "red", "the next peak is killed"),
)


def by_instance(expression: str, *more: str) -> str:
    """Summed by instance, which is what a link needs."""
    return total(expression, *WHERE, *more)


def growth(part: str) -> str:
    """How much a part of the memory has grown within an hour, by instance; of several, the one that there is."""
    return by_instance(gauge("process_memory_part_growth_bytes", f'part=~"{part}"'))


LIVE = growth("live_heap|heap")
"""Without a heap profiler the heap is one part."""


BOUND = "16 * 1024 * 1024"
VERDICT = (
    f"({LIVE} > {BOUND} and ({LIVE} >= {growth('allocator_slack')} or {growth('heap')})) * 0 + 1"
    f" or ({growth('allocator_slack')} > {BOUND}) * 0 + 2"
    f" or {LIVE} * 0"
)
"""1: what is in use grows most; 2: what the allocator keeps does; 0: neither by 16 MiB."""
WORDS = {0: ("steady", "green"), 1: ("heap grows: leak or cache", "red"), 2: ("slack grows: fragmentation", "yellow")}
CPU = by_instance(rate("process_cpu_seconds_total"))
THROTTLING = f"{by_instance(rate('cgroup_cpu_throttled_periods_total'))} / ({by_instance(rate('cgroup_cpu_periods_total'))} > 0)"
FDS = f"{by_instance(gauge('process_open_fds'))} / {by_instance(gauge('process_max_fds'))}"


def now() -> Row:
    """The worst of the instances chosen."""
    return Row(
        "Now",
        [
            number("Memory", "What grew most within the last hour, for each instance: the heap in use is a leak or a cache; what "
                   "the allocator keeps is fragmentation, or a peak that has passed.", "short", Query(VERDICT, OF), width=8,
                   words=WORDS, to=(HEAP, PAGE)),
            number("CPU", "Cores in use by all instances chosen.", "short", Query(total(rate("process_cpu_seconds_total")), "cores")),
            number("Executor delay", "Ninety-nine of a hundred jobs wait less than this for a thread, at any priority.", "s",
                   Query(DELAY.quantile(0.99), "p99"), bounds=LATE),
            number("Throttled", "Share of the periods in which the control group held up its processes; the worst instance.",
                   "percentunit", Query(f"max({THROTTLING})", "worst"), bounds=THROTTLED),
            number("Descriptors", "Share of the file descriptors that are open; the worst instance.", "percentunit",
                   Query(f"max({FDS})", "worst"), bounds=OPEN),
        ],
    )


def memory() -> Row:
    """Where the memory is, part by part."""
    limit = by_instance(gauge("cgroup_memory_limit_bytes"))
    return Row(
        "Memory",
        [
            graph("Memory by part", "What the resident memory is made of. live_heap is what the service has in use, allocator_slack "
                  "what malloc keeps, heap both where there is no heap profiler, rest what no reading can name.", "bytes",
                  Query(total(gauge("process_memory_part_bytes"), "part"), "{{part}}"), width=12, stacked=True),
            graph("Growth by part", "The last reading less the oldest one, an hour old at most.", "bytes",
                  Query(by_instance(gauge("process_memory_part_growth_bytes"), "part"), f"{OF} {{{{part}}}}"), width=12,
                  to=(HEAP, PAGE)),
            graph("Resident", "Memory that is in RAM, its peak, and the limit of the control group.", "bytes",
                  Query(by_instance(gauge("process_resident_memory_bytes")), OF),
                  Query(by_instance(gauge("process_resident_memory_peak_bytes")), f"{OF} peak"), Query(limit, f"{OF} limit"),
                  to=(HEAP, PAGE)),
            graph("Control group", "Share of the memory limit that the group uses. Nothing is drawn where there is no limit.",
                  "percentunit", Query(f"{by_instance(gauge('cgroup_memory_usage_bytes'))} / {limit}", OF), bounds=NEAR),
            graph("Memory of the group", "What the control group counts, by kind, and what of it is swapped out.", "bytes",
                  Query(total(gauge("cgroup_memory_kind_bytes"), "kind"), "{{kind}}"),
                  Query(total(gauge("cgroup_memory_swap_usage_bytes")), "swap"), stacked=True),
            graph("glibc's malloc", "What malloc took from the system, and what of it is in use or free. Off by default: to ask it stops threads.", "bytes",
                  Query(total(gauge("malloc_in_use_bytes")), "in use"), Query(total(gauge("malloc_free_bytes")), "free"),
                  Query(total(gauge("malloc_arena_bytes")), "arenas"), Query(total(gauge("malloc_mmapped_bytes")), "mapped")),
            graph("Resident by kind", "Anonymous memory, files and shared memory in RAM; what is swapped out.", "bytes",
                  Query(total(gauge("process_resident_memory_kind_bytes"), "kind"), "{{kind}}"),
                  Query(total(gauge("process_swap_bytes")), "swap"), stacked=True),
            graph("Events of the group", "Times a second that the control group reclaimed, hit its limit, or killed.", "cps",
                  Query(total(rate("cgroup_memory_events_total"), "event"), "{{event}}")),
        ],
    )


def allocation() -> Row:
    """Who allocates, by site and by type."""
    return Row(
        "Allocation",
        [
            graph("Allocated", "Bytes allocated a second, estimated from samples. The sites are a click away.", "Bps",
                  Query(by_instance(rate("heap_allocated_bytes_total")), OF), to=(SITES, HEAP)),
            graph("Allocations", "Blocks allocated a second, estimated from samples. The sites are a click away.", "cps",
                  Query(by_instance(rate("heap_allocated_objects_total")), OF), to=(SITES, HEAP)),
            graph("In use", "Bytes in use by the sampled blocks that were not freed, estimated.", "bytes",
                  Query(by_instance(gauge("heap_live_bytes")), OF), to=(HEAP, SITES)),
            graph("Blocks in use", "Blocks that were not freed, estimated from samples.", "short",
                  Query(by_instance(gauge("heap_live_objects")), OF), to=(HEAP, SITES)),
            graph("Allocated by type", "Bytes of Swift objects a second, by type; the ten that allocate most.", "Bps",
                  Query(top(10, total(rate("swift_allocated_bytes_total"), "type")), "{{type}}")),
            graph("Objects by type", "Swift objects a second, by type; the ten with most.", "cps",
                  Query(top(10, total(rate("swift_allocated_objects_total"), "type")), "{{type}}")),
        ],
    )


def threads() -> Row:
    """CPU, and the threads that use it."""
    return Row(
        "CPU and threads",
        [
            graph("CPU", "Cores in use, by instance, and the limit of the control group.", "short", Query(CPU, OF),
                  Query(by_instance(gauge("cgroup_cpu_limit_cores")), f"{OF} limit"), to=(PAGE,)),
            graph("CPU by mode", "Cores in use for the program's own code and for the kernel on its behalf.", "short",
                  Query(total(rate("process_cpu_mode_seconds_total"), "mode"), "{{mode}}"), stacked=True),
            graph("Throttling", "Share of the periods in which the control group held up its processes.", "percentunit",
                  Query(THROTTLING, OF), bounds=THROTTLED),
            graph("CPU of the group", "Cores that the control group uses, and seconds a second that it stands still.", "short",
                  Query(total(rate("cgroup_cpu_usage_seconds_total")), "in use"),
                  Query(total(rate("cgroup_cpu_throttled_seconds_total")), "held up")),
            graph("CPU by thread", "Cores in use by the threads of a name; the ten with most.", "short",
                  Query(top(10, total(rate("thread_cpu_seconds_total"), "thread")), "{{thread}}"), stacked=True),
            graph("Waiting for a CPU", "Seconds a second that threads were ready and had no CPU; all of them, and the five names "
                  "with most.", "short", Query(total(rate("process_run_queue_seconds_total")), "all threads"),
                  Query(top(5, total(rate("thread_run_queue_seconds_total"), "thread")), "{{thread}}")),
            graph("Threads", "Threads of an instance. Made and never ended, they rise.", "short",
                  Query(by_instance(gauge("process_threads")), OF), to=(PAGE,)),
            graph("Threads by name", "Threads of a name; the ten with most.", "short",
                  Query(top(10, total(gauge("threads"), "thread")), "{{thread}}")),
            graph("Context switches", "Switches a second: voluntary ones wait for something, involuntary ones lost their CPU.", "cps",
                  Query(total(rate("process_context_switches_total"), "kind"), "{{kind}}")),
        ],
    )


def executors() -> Row:
    """Swift's executors: how late jobs run."""
    who = ("executor", "priority")
    return Row(
        "Swift concurrency",
        [
            graph("Delay", "Ninety-nine of a hundred jobs wait less than this for a thread of an executor.", "s",
                  Query(DELAY.quantile(0.99, *who), "{{executor}} {{priority}}"), bounds=LATE),
            heat("Delay, all of it", "Jobs a second by how long they waited for a thread.", "s",
                 Query(DELAY.buckets(), "{{le}}"), Query(total(DELAY.native), "native", native=True)),
            graph("Oldest probe", "For how long the agent's own job has been waiting: what hangs, shows here before it ends.", "s",
                  Query(f"max by (instance, executor, priority) ({gauge('swift_executor_oldest_probe_age_seconds')})",
                        f"{OF} {{{{executor}}}} {{{{priority}}}}"), bounds=LATE, to=(STALLS, PAGE)),
            graph("Jobs", "Jobs a second that were handed to the global executor.", "cps",
                  Query(by_instance(rate("swift_jobs_enqueued_total")), OF)),
            graph("Tasks", "Tasks that were not destroyed yet; a line that rises is tasks that never end.", "short",
                  Query(by_instance(gauge("swift_tasks_live")), OF)),
            graph("Tasks made", "Tasks made a second, and those that the table had no room for.", "cps",
                  Query(total(rate("swift_tasks_created_total")), "made"),
                  Query(total(rate("swift_tasks_untracked_total")), "untracked")),
        ],
    )


def loops() -> Row:
    """NIO's event loops."""
    return Row(
        "Event loops",
        [
            graph("Delay of loops", "Ninety-nine of a hundred tasks of a loop are late by less than this.", "s",
                  Query(LOOP_DELAY.quantile(0.99, "instance", "loop"), f"{OF} {{{{loop}}}}"), bounds=LATE, to=(STALLS, PAGE)),
            graph("Oldest task", "For how long a loop's task has been overdue: what hangs, shows here before it ends.", "s",
                  Query(f"max by (instance, loop) ({gauge('nio_event_loop_oldest_probe_age_seconds')})", f"{OF} {{{{loop}}}}"),
                  bounds=LATE, to=(STALLS, PAGE)),
            graph("Utilization", "Share of its time that a loop was busy.", "percentunit",
                  Query(f"max by (instance, loop) ({gauge('nio_event_loop_utilization_ratio')})", f"{OF} {{{{loop}}}}"), most=1),
            graph("Ticks", "Ninety-nine of a hundred ticks of a loop take less than this.", "s",
                  Query(TICK.quantile(0.99, "instance", "loop"), f"{OF} {{{{loop}}}}"), width=12),
            graph("Tasks of loops", "Tasks a second that a loop ran.", "cps",
                  Query(total(rate("nio_event_loop_tasks_total"), "instance", "loop"), f"{OF} {{{{loop}}}}"), width=12),
        ],
    )


def kernel() -> Row:
    """What the kernel counts: pressure, faults, descriptors, input and output, the network."""
    return Row(
        "Kernel",
        [
            graph("Pressure", "Share of the time in which some or all processes of the control group stood still for want of "
                  "something.", "percentunit",
                  Query(f"max by (resource, kind) ({rate('cgroup_pressure_seconds_total')})", "{{resource}} {{kind}}"),
                  bounds=(Bound(0.1, "yellow", "a tenth of the time is lost"),)),
            graph("Stalls", "Times that something did not answer, in the window of a rate; the stacks are a click away.", "short",
                  Query(by_instance(increase("outrider_stalls_total"), "what"), f"{OF} {{{{what}}}}"), to=(STALLS,)),
            graph("Page faults", "Faults a second: a major one waits for storage.", "cps",
                  Query(total(rate("process_page_faults_total"), "kind"), "{{kind}}")),
            graph("File descriptors", "Open descriptors, and the most that there may be.", "short",
                  Query(by_instance(gauge("process_open_fds")), OF), Query(by_instance(gauge("process_max_fds")), f"{OF} limit")),
            graph("Input and output", "Bytes a second from and to storage.", "Bps",
                  Query(total(rate("process_io_bytes_total"), "direction"), "{{direction}}")),
            graph("Calls of read and write", "System calls a second that read or wrote, sockets and pipes included.", "cps",
                  Query(total(rate("process_io_calls_total"), "direction"), "{{direction}}")),
            graph("Sockets", "Sockets of the network namespace by state.", "short",
                  Query(total(gauge("sockets"), "state"), "{{state}}")),
            graph("TCP", "Connections a second that found the queue of a listener full or were dropped, and segments sent again, of "
                  "the network namespace.", "cps", Query(total(rate("tcp_listen_overflows_total")), "queue full"),
                  Query(total(rate("tcp_listen_drops_total")), "dropped"), Query(total(rate("tcp_retransmits_total")), "sent again")),
            graph("Processes of the group", "Processes and threads of the control group, and the most that there may be.", "short",
                  Query(by_instance(gauge("cgroup_pids")), OF), Query(by_instance(gauge("cgroup_pids_limit")), f"{OF} limit")),
            graph("Virtual memory", "Addresses in use; far more than memory, and no trouble by itself.", "bytes",
                  Query(by_instance(gauge("process_virtual_memory_bytes")), OF), width=24),
        ],
    )


def runtime() -> str:
    """The dashboard of the runtime."""
    return built(
        "runtime", "Runtime",
        "Memory by named part and whether it leaks, allocation by site and type, threads, Swift's executors and NIO's event "
        "loops, and what the kernel makes a process wait for.",
        [now(), memory(), allocation(), threads(), executors(), loops(), kernel()], OPEN_TELEMETRY,
    )
