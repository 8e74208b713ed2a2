// SPDX-License-Identifier: Apache-2.0
// Metrics that event loops report: utilization, tick durations and tasks.
//
// NIO calls a delegate after each tick, on the loop's own thread. For each tick, the delegate looks
// up the loop in a table of atomic words and adds to four counters; it takes no lock and allocates
// nothing.

#if NIO
    internal import NIOCore
    public import NIOPosix
    public import OutriderMetrics
    internal import OutriderThreading
    internal import Synchronization

    /// Ticks, tasks and utilization of the event loops that are created with it.
    ///
    /// ```swift
    /// let loops = EventLoopMetrics(registry: agent.registry)
    /// let group = MultiThreadedEventLoopGroup(numberOfThreads: 4, metricsDelegate: loops)
    /// ```
    ///
    /// Pass one to all groups of a registry. Existing loops, such as those of `.singleton`, do not
    /// call it: `RuntimeMonitor.watch(_:)` shows their delay. Thread-safe.
    ///
    /// A tick counts when it ends. A tick that never ends is detected by the probes of
    /// `RuntimeMonitor`.
    public final class EventLoopMetrics: NIOEventLoopMetricsDelegate, Collector {
        /// Upper bounds of `nio_event_loop_tick_seconds`.
        public static let tickBuckets: Buckets = [
            0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
        ]

        /// A power of two; loops beyond this many share one label.
        private static let slotCount = 256

        private final class Slot: Sendable {
            let loop = Atomic<UInt>(0)
            let metrics = OnceReference<LoopMetrics>()
        }

        private let slots: [Slot]
        private let ticks: Family<Histogram>
        private let tasks: Family<Counter>
        private let overflow: LoopMetrics

        /// Registers the metrics in `registry`.
        public init(registry: Registry = .shared) {
            slots = (0..<Self.slotCount).map { _ in Slot() }
            ticks = registry.histogram(
                "nio_event_loop_tick_seconds", help: "Duration of event-loop ticks.",
                labels: ["loop"], buckets: Self.tickBuckets)
            tasks = registry.counter(
                "nio_event_loop_tasks_total",
                help: "Tasks run by event loops; nio_event_loop_tick_seconds_count counts ticks.",
                labels: ["loop"])
            overflow = LoopMetrics(EventLoopLabels.overflow, ticks, tasks)
            registry.add(self)
        }

        /// Called by NIO after each tick.
        public func processedTick(info: NIOEventLoopTickInfo) {
            metrics(of: info.eventLoopID).note(
                busy: (info.endTime - info.startTime).nanoseconds,
                idle: info.sleepTime.nanoseconds, tasks: info.numberOfTasks)
        }

        private func metrics(of loop: ObjectIdentifier) -> LoopMetrics {
            let bits = UInt(bitPattern: loop)
            var index = Int(truncatingIfNeeded: (bits >> 4) &* 0x9e37_79b9_7f4a_7c15 >> 40)
            for _ in 0..<Self.slotCount {
                index &= Self.slotCount - 1
                let slot = slots[index]
                // ORDERING: relaxed; the word carries no other data, and `OnceReference` publishes
                // the metrics of its loop.
                var found = slot.loop.load(ordering: .relaxed)
                if found == 0 {
                    let (_, original) = slot.loop.compareExchange(
                        expected: 0, desired: bits, ordering: .relaxed)
                    found = original == 0 ? bits : original
                }
                if found == bits {
                    return slot.metrics.load()
                        ?? slot.metrics.storeIfNil(
                            LoopMetrics(EventLoopLabels.label(of: loop), ticks, tasks))
                }
                index += 1
            }
            return overflow
        }

        /// The name of the collector: `nio_event_loops`.
        public var name: String { "nio_event_loops" }

        private static let utilization = CollectedFamily.gauge(
            "nio_event_loop_utilization_ratio",
            help: "Fraction of time that an event loop was busy since the previous scrape.",
            labels: ["loop"])

        /// The family that ticks do not record.
        public var families: [CollectedFamily] { [Self.utilization] }

        /// Adds the utilization of each loop that has had a tick since the last scrape.
        public func collect(into samples: inout CollectedSamples) {
            for slot in slots {
                guard let metrics = slot.metrics.load(), let ratio = metrics.utilization() else {
                    continue
                }
                samples.add(Self.utilization, ratio, metrics.label)
            }
        }
    }

    /// The metrics of one loop.
    private final class LoopMetrics: Sendable {
        /// The shortest span in nanoseconds, so that two scrapers get the same ratio rather than
        /// one each for a part of the time.
        private static let leastSpan = 500_000_000

        private struct Last: Sendable {
            var busy = 0
            var idle = 0
            var ratio: Double?
        }

        let label: String
        private let tick: Histogram
        private let tasks: Counter
        private let busy = Atomic<Int>(0)
        private let idle = Atomic<Int>(0)
        private let last = Guarded(Last())

        init(_ label: String, _ ticks: Family<Histogram>, _ tasks: Family<Counter>) {
            self.label = label
            tick = ticks.with(label)
            self.tasks = tasks.with(label)
        }

        func note(busy: Int64, idle: Int64, tasks count: Int) {
            // ORDERING: relaxed; sums that publish nothing else.
            self.busy.wrappingAdd(Int(busy), ordering: .relaxed)
            self.idle.wrappingAdd(Int(idle), ordering: .relaxed)
            tick.observe(Double(busy) / 1e9)
            tasks.increment(by: count)
        }

        /// The ratio since the last call at least that long ago; nil if there was no tick since.
        func utilization() -> Double? {
            last.withLock { last in
                let busy = busy.load(ordering: .relaxed)
                let idle = idle.load(ordering: .relaxed)
                let span = busy - last.busy + idle - last.idle
                if span == 0 {
                    last.ratio = nil
                } else if last.ratio == nil || span >= Self.leastSpan {
                    last.ratio = Double(busy - last.busy) / Double(span)
                    (last.busy, last.idle) = (busy, idle)
                }
                return last.ratio
            }
        }
    }
#endif
