// SPDX-License-Identifier: Apache-2.0
// Tests of event-loop metrics: utilization and delay, and stalls with their stacks.

#if NIO
    import NIOCore
    import NIOPosix
    import OutriderMetrics
    import OutriderNIO
    import OutriderRuntime
    import OutriderTesting
    import Synchronization
    import TestSupport
    import Testing

    /// The work of a blocked event loop; tests look for this function's name.
    @inline(never)
    private func blockEventLoop(until mayEnd: () -> Bool) {
        _ = eventually(within: 300, mayEnd)
    }

    /// A configuration in which a monitor only probes.
    private func quietConfiguration() -> RuntimeMonitor.Configuration {
        var configuration = RuntimeMonitor.Configuration.disabled
        configuration.probeInterval = .milliseconds(20)
        return configuration
    }

    @Suite struct EventLoopTests {
        private let registry = Registry(hasOwnMetrics: false)

        /// The sum of a metric over all loops; reads no other metric.
        private func sum(_ name: String) throws -> Double {
            try registry.exposition(names: [name]).families.flatMap(\.samples)
                .filter { $0.name == name }.map(\.value).reduce(0, +)
        }

        @Test func `a loop created with the metrics counts its ticks and tasks`() async throws {
            let loops = EventLoopMetrics(registry: registry)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 2, metricsDelegate: loops)
            let loop = group.next()
            for _ in 0..<50 { try await loop.submit {}.get() }
            #expect(try await holdsEventually { try sum("nio_event_loop_tasks_total") >= 50 })
            #expect(try sum("nio_event_loop_tick_seconds_count") >= 1)
            try await group.shutdownGracefully()
        }

        @Test func `a loop that was busy for 300 ms reports it`() async throws {
            let beginning = ContinuousClock.now
            let loops = EventLoopMetrics(registry: registry)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1, metricsDelegate: loops)
            try await group.next().submit {
                let end = ContinuousClock.now + .milliseconds(300)
                blockEventLoop { ContinuousClock.now >= end }
            }.get()
            // A tick is counted when it has ended.
            #expect(try await holdsEventually { try sum("nio_event_loop_tick_seconds_sum") >= 0.3 })
            let ratio = try sum("nio_event_loop_utilization_ratio")
            // The later the scrape, the smaller the busy share of the time since the start.
            #expect(ratio > 0.2 / ((ContinuousClock.now - beginning) / .seconds(1)) && ratio <= 1)
            try await group.shutdownGracefully()
        }

        @Test func `any group can be watched, including the singleton`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            monitor.watch(MultiThreadedEventLoopGroup.singleton)
            defer { monitor.stop() }
            let count = Double(
                MultiThreadedEventLoopGroup.singleton.makeIterator().reduce(0) { sum, _ in sum + 1 }
            )
            #expect(
                try await holdsEventually {
                    try sum("nio_event_loop_delay_seconds_count") >= 3 * count
                })
        }

        @Test func `a blocked loop is reported with its age, its delay and its stack`() async throws
        {
            var configuration = quietConfiguration()
            // Longer than a busy machine delays a runnable thread.
            configuration.stallThreshold = .seconds(1)
            let monitor = RuntimeMonitor(
                registry: registry, configuration: configuration, log: DiagnosticLog { _, _ in })
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            defer { monitor.stop() }
            #expect(
                try await holdsEventually { try sum("nio_event_loop_delay_seconds_count") >= 2 })
            let isSeen = Atomic(false)
            let isOver = group.next().submit { blockEventLoop { isSeen.load(ordering: .relaxed) } }
            // Blocked until it is seen: on a busy machine the monitor may not run for a second.
            func ofBlock() -> [Stall] {
                monitor.stalls.filter { stall in
                    stall.functions.contains { $0.contains("blockEventLoop") }
                }
            }
            #expect(
                try await holdsEventually {
                    try sum("nio_event_loop_oldest_probe_age_seconds") >= 1.3 && !ofBlock().isEmpty
                })
            isSeen.store(true, ordering: .relaxed)
            try await isOver.get()
            #expect(
                try await holdsEventually { try sum("nio_event_loop_delay_seconds_sum") >= 1.3 })
            #expect(try await holdsEventually { ofBlock().first?.isOver == true })
            let stall = try #require(ofBlock().first)
            #expect(stall.target.hasPrefix("event loop "))
            #expect(stall.duration >= .milliseconds(1_300))
            #expect(ofBlock().count == 1)
            #expect(try sum("outrider_stalls_total") == Double(monitor.stalls.count))
            try await group.shutdownGracefully()
        }

        @Test func `a group that shuts down is no longer watched`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            defer { monitor.stop() }
            #expect(
                try await holdsEventually { try sum("nio_event_loop_delay_seconds_count") >= 1 })
            try await group.shutdownGracefully()
            #expect(try await holdsEventually { monitor.watchedTargets == 0 })
            try registry.expect(
                "nio_event_loop_oldest_probe_age_seconds",
                ["loop": try #require(loopLabels().first)], 0)
        }

        @Test func `loops may shut down while they are watched`() async throws {
            var configuration = quietConfiguration()
            configuration.probeInterval = .milliseconds(1)
            let monitor = RuntimeMonitor(registry: registry, configuration: configuration)
            defer { monitor.stop() }
            for _ in 0..<50 {
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
                monitor.watch(group)
                try await group.shutdownGracefully()
            }
            #expect(try await holdsEventually { monitor.watchedTargets == 0 })
        }

        @Test func `a stopped monitor no longer probes the loops`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            #expect(
                try await holdsEventually { try sum("nio_event_loop_delay_seconds_count") >= 1 })
            monitor.stop()
            // A probe already queued has run once a later task has.
            try await group.next().submit {}.get()
            let count = try sum("nio_event_loop_delay_seconds_count")
            // A probe, due every 20 ms, would run before this task, however late the loop is.
            try await group.next().scheduleTask(in: .milliseconds(50)) {}.futureResult.get()
            #expect(try sum("nio_event_loop_delay_seconds_count") == count)
            try await group.shutdownGracefully()
        }

        private func loopLabels() throws -> [String] {
            try registry.exposition().families.flatMap(\.samples)
                .filter { $0.name == "nio_event_loop_oldest_probe_age_seconds" }
                .compactMap { $0.labels["loop"] }
        }
    }
#endif
