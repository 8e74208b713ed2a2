// SPDX-License-Identifier: Apache-2.0
// Tests that the service's closures and objects may use the registry and the log, even while they
// are released.

import OutriderMetrics
import Testing

@Suite struct ReentrancyTests {
    /// Runs a closure when its last reference is released.
    private final class Farewell: Sendable {
        private let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }

        deinit {
            body()
        }

        /// Keeps this object alive until the caller is released.
        func stay() {}
    }

    @Test func `an object held by an unregistered callback may use the registry on release`() async
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
            // A scrape releases the families kept from the previous one.
            let text = registry.text()
            precondition(!text.contains("other"))
            precondition(registry.sample("farewells_total") == "1")
        }
    }

    @Test func `an object held by a refused callback may use the registry when it is released`()
        async
    {
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

    @Test func `an object held by a log handler may use the log when the handler is replaced`()
        async
    {
        await #expect(processExitsWith: .success) {
            let log = DiagnosticLog.silent
            func setHandler() {
                let farewell = Farewell { log.report(.info, about: "farewell", "gone") }
                log.setHandler { _, _ in farewell.stay() }
            }
            setHandler()
            log.setHandler { _, _ in }
        }
    }

    @Test func `a log handler may log and register`() {
        let recorded = RecordedLog()
        let registry = Registry(hasOwnMetrics: false, log: recorded.log)
        let outer = DiagnosticLog { _, message in
            recorded.log.report(.info, about: message, message)
            _ = registry.gauge("7", help: "Seven.")
        }
        _ = Registry(hasOwnMetrics: false, log: outer).gauge("9", help: "Nine.")
        #expect(recorded.lines.count == 2)
    }
}
