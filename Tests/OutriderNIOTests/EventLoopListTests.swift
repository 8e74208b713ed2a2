// SPDX-License-Identifier: Apache-2.0
// Tests that event loops expose the metrics listed in docs/metrics.md, no more and no fewer.

#if NIO
    import NIOCore
    import NIOPosix
    import OutriderMetrics
    import OutriderNIO
    import OutriderRuntime
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct EventLoopListTests {
        @Test func `the exposed metrics of event loops match the documented list`() async throws {
            let registry = Registry(hasOwnMetrics: false)
            let group = MultiThreadedEventLoopGroup(
                numberOfThreads: 1, metricsDelegate: EventLoopMetrics(registry: registry))
            let monitor = RuntimeMonitor(registry: registry, configuration: .disabled)
            monitor.watch(group)
            try await group.next().submit {}.get()
            // A tick is counted when it has ended.
            #expect(
                try await holdsEventually {
                    try registry.exposition(names: ["nio_event_loop_tasks_total"]).families
                        .flatMap(\.samples).contains { $0.value > 0 }
                })
            let exposed = try MetricsList.exposed(by: registry, prefix: "nio_")
            #expect(Set(exposed) == Set(MetricsList.rows(prefix: "nio_")))
            #expect(exposed.count == 5)
            monitor.stop()
            try await group.shutdownGracefully()
        }
    }
#endif
