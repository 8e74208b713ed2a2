// SPDX-License-Identifier: Apache-2.0
// Event loops tell how busy and how late they are, and one that hangs is caught in the act.

#if NIO
    import Glibc
    import NIOCore
    import NIOPosix
    import OutriderMetrics
    import OutriderNIO
    import OutriderRuntime
    import OutriderTesting
    import Synchronization
    import TestSupport
    import Testing

    /// Waits for a fact, ten seconds at most.
    private func eventually(_ holds: () -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end {
            if holds() { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return holds()
    }

    /// A loop's own work in the tests of hangs, until it is seen or for a minute; its name is looked for.
    @inline(never)
    private func blockEventLoop(until isSeen: () -> Bool) {
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end, !isSeen() { usleep(1_000) }
    }

    /// A monitor that does nothing but beat.
    private func quietConfiguration() -> RuntimeMonitor.Configuration {
        var configuration = RuntimeMonitor.Configuration.nothing
        configuration.probeInterval = .milliseconds(20)
        return configuration
    }

    @Suite struct EventLoopTests {
        private let registry = Registry(reportsItself: false)

        /// The sum over all loops of a registry of its own.
        private func sum(_ name: String) throws -> Double {
            try registry.exposition().families.flatMap(\.samples)
                .filter { $0.name == name }.map(\.value).reduce(0, +)
        }

        @Test func `a loop made with the metrics counts its ticks and tasks`() async throws {
            let loops = EventLoopMetrics(registry: registry)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 2, metricsDelegate: loops)
            let loop = group.next()
            for _ in 0..<50 { try await loop.submit {}.get() }
            #expect(try await eventually { (try? sum("nio_event_loop_tasks_total")) ?? 0 >= 50 })
            #expect(try sum("nio_event_loop_tick_seconds_count") >= 1)
            try await group.shutdownGracefully()
        }

        @Test func `a loop that was busy for 300 ms says so`() async throws {
            let loops = EventLoopMetrics(registry: registry)
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1, metricsDelegate: loops)
            let loop = group.next()
            let beginning = ContinuousClock.now
            try await loop.submit {
                let end = ContinuousClock.now + .milliseconds(300)
                blockEventLoop { ContinuousClock.now >= end }
            }.get()
            // A tick counts when it has ended; this is another one.
            try await loop.submit {}.get()
            let ratio = try sum("nio_event_loop_utilization_ratio")
            // The more of the time since its making was something else's, the less is its share.
            #expect(ratio > 0.2 / ((ContinuousClock.now - beginning) / .seconds(1)) && ratio <= 1)
            #expect(try sum("nio_event_loop_tick_seconds_sum") >= 0.3)
            try await group.shutdownGracefully()
        }

        @Test func `any group can be watched, the singleton too`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            monitor.watch(MultiThreadedEventLoopGroup.singleton)
            defer { monitor.stop() }
            let count = Double(
                MultiThreadedEventLoopGroup.singleton.makeIterator().reduce(0) { sum, _ in sum + 1 }
            )
            #expect(
                try await eventually {
                    (try? sum("nio_event_loop_delay_seconds_count")) ?? 0 >= 3 * count
                })
        }

        @Test func `a loop that hangs shows its age, its delay, and its stack`() async throws {
            var configuration = quietConfiguration()
            configuration.stallThreshold = .milliseconds(100)
            let monitor = RuntimeMonitor(
                registry: registry, configuration: configuration, log: DiagnosticLog { _, _ in })
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            defer { monitor.stop() }
            #expect(
                try await eventually { (try? sum("nio_event_loop_delay_seconds_count")) ?? 0 >= 2 })
            let isSeen = Atomic(false)
            let isOver = group.next().submit { blockEventLoop { isSeen.load(ordering: .relaxed) } }
            // Held until it is seen: on a busy machine nobody may look for a second.
            #expect(
                try await eventually {
                    (try? sum("nio_event_loop_oldest_probe_age_seconds")) ?? 0 >= 0.3
                })
            isSeen.store(true, ordering: .relaxed)
            try await isOver.get()
            #expect(
                try await eventually { (try? sum("nio_event_loop_delay_seconds_sum")) ?? 0 >= 0.3 })
            #expect(try await eventually { monitor.stalls.first?.isOver == true })
            let stall = try #require(monitor.stalls.first)
            #expect(stall.what.hasPrefix("event loop "))
            #expect(stall.functions.contains { $0.contains("blockEventLoop") })
            #expect(stall.duration >= .milliseconds(300))
            #expect(try sum("outrider_stalls_total") == 1)
            try await group.shutdownGracefully()
        }

        @Test func `a group that shuts down is let go of`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            defer { monitor.stop() }
            #expect(
                try await eventually { (try? sum("nio_event_loop_delay_seconds_count")) ?? 0 >= 1 })
            try await group.shutdownGracefully()
            #expect(try await eventually { monitor.watchedTargets == 0 })
            try registry.expect(
                "nio_event_loop_oldest_probe_age_seconds",
                ["loop": try #require(loopLabels().first)], 0)
        }

        @Test func `loops that go while they are watched are no trouble`() async throws {
            var configuration = quietConfiguration()
            configuration.probeInterval = .milliseconds(1)
            let monitor = RuntimeMonitor(registry: registry, configuration: configuration)
            defer { monitor.stop() }
            for _ in 0..<50 {
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
                monitor.watch(group)
                try await group.shutdownGracefully()
            }
            #expect(try await eventually { monitor.watchedTargets == 0 })
        }

        @Test func `a monitor that stops leaves the loops alone`() async throws {
            let monitor = RuntimeMonitor(registry: registry, configuration: quietConfiguration())
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            monitor.watch(group)
            #expect(
                try await eventually { (try? sum("nio_event_loop_delay_seconds_count")) ?? 0 >= 1 })
            monitor.stop()
            // What was on its way is through when a later task is.
            try await group.next().scheduleTask(in: .milliseconds(50)) {}.futureResult.get()
            let count = try sum("nio_event_loop_delay_seconds_count")
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
