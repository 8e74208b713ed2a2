// SPDX-License-Identifier: Apache-2.0
// What belongs to the service may use the registry and the log again, even while it is let go.

import OutriderMetrics
import Testing

@Suite struct ReentrancyTests {
    /// Does something when the last reference to it is gone.
    private final class Farewell: Sendable {
        private let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }

        deinit {
            body()
        }

        /// Keeps this alive for as long as whoever calls it.
        func stay() {}
    }

    @Test func `what a callback held may use the registry when the callback is unregistered`()
        async
    {
        await #expect(processExitsWith: .success) {
            let registry = Registry.bare
            registry.gauge("other", help: "O.").set(1)
            func registerCallback() {
                let farewell = Farewell {
                    registry.unregister("other")
                    registry.counter("farewells", help: "F.").increment()
                }
                registry.gauge("depth", help: "D.") {
                    farewell.stay()
                    return 1
                }
            }
            registerCallback()
            _ = registry.text()
            registry.unregister("depth")
            // A scrape lets go of what it kept of the families before it.
            let text = registry.text()
            precondition(!text.contains("other"))
            precondition(registry.sample("farewells_total") == "1")
        }
    }

    @Test func `what a refused collector held may use the registry when it is let go`() async {
        await #expect(processExitsWith: .success) {
            let registry = Registry.bare
            registry.gauge("depth", help: "D.").set(1)
            func registerCallback() {
                let farewell = Farewell { registry.gauge("farewell", help: "F.").set(1) }
                registry.gauge("depth", help: "D.") {
                    farewell.stay()
                    return 1
                }
            }
            registerCallback()
            precondition(registry.sample("farewell") == "1")
        }
    }

    @Test func `what a handler of the log held may use the log when it is replaced`() async {
        await #expect(processExitsWith: .success) {
            let log = DiagnosticLog.silent
            func setHandler() {
                let farewell = Farewell { log.say(.info, about: "farewell", "gone") }
                log.setHandler { _, _ in farewell.stay() }
            }
            setHandler()
            log.setHandler { _, _ in }
        }
    }

    @Test func `a handler may log and register in its turn`() {
        let recorded = RecordedLog()
        let registry = Registry(reportsItself: false, log: recorded.log)
        let outer = DiagnosticLog { _, message in
            recorded.log.say(.info, about: message, message)
            _ = registry.gauge("7", help: "Seven.")
        }
        _ = Registry(reportsItself: false, log: outer).gauge("9", help: "Nine.")
        #expect(recorded.lines.count == 2)
    }
}
