// SPDX-License-Identifier: Apache-2.0
// docs/metrics.md lists what event loops expose, no more and no less.

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
        @Test func `what loops expose is what the list says`() async throws {
            let registry = Registry(reportsItself: false)
            let group = MultiThreadedEventLoopGroup(
                numberOfThreads: 1, metricsDelegate: EventLoopMetrics(registry: registry))
            let monitor = RuntimeMonitor(registry: registry, configuration: .nothing)
            monitor.watch(group)
            try await group.next().submit {}.get()
            // A tick counts when it has ended.
            try await group.next().submit {}.get()
            let families = try registry.exposition().families.filter { $0.name.hasPrefix("nio_") }
            let exposed = families.map { family in
                MetricsList.Row(
                    name: family.type == .counter ? family.name.ensuringTotal : family.name,
                    type: "\(family.type)",
                    labels: Set(family.samples.flatMap(\.labels.keys)).subtracting(["le"]))
            }
            #expect(Set(exposed) == Set(MetricsList.rows(prefix: "nio_")))
            #expect(exposed.count == 5)
            monitor.stop()
            try await group.shutdownGracefully()
        }
    }

    extension String {
        fileprivate var ensuringTotal: String { hasSuffix("_total") ? self : self + "_total" }
    }
#endif
