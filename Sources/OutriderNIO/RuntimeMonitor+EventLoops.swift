// SPDX-License-Identifier: Apache-2.0
// Event-loop delay, measured by a task that each loop schedules on itself for each tick of the
// monitor.
//
// The task is not scheduled from outside: a loop that has shut down treats that as an error, which
// in debug builds and in NIO's strict mode ends the process, and checking first is a race.

#if NIO
    public import NIOCore
    internal import OutriderMetrics
    public import OutriderRuntime

    extension RuntimeMonitor {
        /// Measures the delay of the loops of `group`, and includes them in hang detection.
        ///
        /// ```swift
        /// agent.runtime.watch(MultiThreadedEventLoopGroup.singleton)
        /// ```
        ///
        /// Any running group works. Each loop runs one task of some microseconds at each tick of
        /// the monitor, until it shuts down. Calling this twice with the same group watches it
        /// twice.
        public func watch(_ group: any EventLoopGroup) {
            let delays = registry.histogram(
                "nio_event_loop_delay_seconds",
                help: "Delay of a periodic probe task on the event loop.",
                labels: ["loop"], buckets: Self.delayBuckets)
            let ages = registry.gauge(
                "nio_event_loop_oldest_probe_age_seconds",
                help: "Age of the overdue probe task, in seconds; 0 when none is overdue.",
                labels: ["loop"])
            for loop in group.makeIterator() {
                let label = EventLoopLabels.label(of: ObjectIdentifier(loop))
                let target = ProbeTarget(
                    name: "event loop \(label)", kind: "event_loop", alwaysResponds: true,
                    enqueue: nil)
                let probe = watch(target, delay: delays.with(label), age: ages.with(label))
                let loopProbe = EventLoopProbe(loop: loop, probe: probe, interval: interval)
                loop.execute { loopProbe.scheduleNext() }
            }
        }

        /// Upper bounds of `nio_event_loop_delay_seconds`.
        private static var delayBuckets: Buckets {
            [
                0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
                0.25, 0.5, 1, 2.5, 5, 10,
            ]
        }
    }

    /// The probe task that a loop schedules on itself, until it shuts down or its probe is retired.
    private struct EventLoopProbe: Sendable {
        let loop: any EventLoop
        let probe: Probe
        let interval: Duration

        /// Must be called on the loop.
        func scheduleNext() {
            guard !probe.isRetired else { return }
            probe.expect(at: .now + interval)
            let next = loop.scheduleTask(in: TimeAmount(interval)) {
                probe.ran()
                scheduleNext()
            }
            // The loop is shutting down: it fails the tasks that it has not run.
            next.futureResult.whenFailure { _ in probe.retire() }
        }
    }
#endif
