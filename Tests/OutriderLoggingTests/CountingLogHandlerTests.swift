// SPDX-License-Identifier: Apache-2.0
// Tests of the counting log handler, which counts messages and changes nothing else.

#if Logging

    import InMemoryLogging
    import Logging
    import OutriderLogging
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct CountingLogHandlerTests {
        private let registry = Registry(log: DiagnosticLog { _, _ in })
        private let memory = InMemoryLogHandler()

        private func logger(_ level: Logger.Level = .trace) -> Logger {
            var logger = Logger(label: "test") { [registry, memory] _ in
                CountingLogHandler(memory, registry: registry)
            }
            logger.logLevel = level
            return logger
        }

        private func count(_ level: Logger.Level) -> Double? {
            registry.value("log_messages_total", ["level": level.rawValue])
        }

        @Test func `each message is counted under its level`() {
            let logger = logger()
            for (index, level) in Logger.Level.allCases.enumerated() {
                for _ in 0...index { logger.log(level: level, "message") }
            }
            for (index, level) in Logger.Level.allCases.enumerated() {
                #expect(count(level) == Double(index + 1))
            }
            #expect(memory.entries.count == 28)
        }

        @Test func `every level is exposed before the first message`() throws {
            _ = logger()
            let family = try registry.exposition().family("log_messages_total")
            #expect(family?.samples.map(\.value) == Array(repeating: 0, count: 7))
        }

        @Test func `the exposed metrics match the documented list`() throws {
            _ = logger()
            let family = try #require(try registry.exposition().family("log_messages_total"))
            let row = MetricsList.Row(
                name: "log_messages_total", type: "\(family.type)",
                labels: Set(family.samples.flatMap(\.labels.keys)))
            #expect(MetricsList.rows(prefix: "log_") == [row])
        }

        @Test func `a message below the level is neither counted nor passed on`() {
            let logger = logger(.warning)
            logger.info("not this")
            logger.warning("this")
            #expect(count(.info) == 0)
            #expect(count(.warning) == 1)
            #expect(memory.entries.map(\.message) == ["this"])
        }

        @Test func `a message arrives with its metadata and its error`() {
            struct Refused: Error {}
            var logger = logger()
            logger[metadataKey: "service"] = "shop"
            logger.log(level: .error, "no", error: Refused(), metadata: ["order": "7"])
            let entry = memory.entries.first
            #expect(entry?.metadata == ["service": "shop", "order": "7"])
            #expect(entry?.error is Refused)
        }

        @Test func `a metadata provider is called as without the handler`() {
            let provider = Logger.MetadataProvider { ["trace": "abc"] }
            var handler = CountingLogHandler(memory, registry: registry)
            #expect(handler.metadataProvider == nil)
            handler.metadataProvider = provider
            let logger = Logger(label: "test", factory: { [handler] _ in handler })
            logger.error("told")
            #expect(memory.entries.first?.metadata == ["trace": "abc"])
        }

        @Test func `a copy has its own level and metadata, and the same counters`() {
            var first = logger()
            first.logLevel = .debug
            first[metadataKey: "only-on"] = "first"
            var second = first
            second.logLevel = .error
            second[metadataKey: "only-on"] = "second"
            #expect(first.logLevel == .debug)
            #expect(second.logLevel == .error)
            #expect(first[metadataKey: "only-on"] == "first")
            #expect(second[metadataKey: "only-on"] == "second")
            first.error("one")
            second.error("two")
            #expect(count(.error) == 2)
        }

        @Test func `a message to several handlers is counted once`() {
            let (registry, memory) = (registry, memory)
            let logger = Logger(label: "test") { _ in
                CountingLogHandler(
                    MultiplexLogHandler([memory, InMemoryLogHandler()]), registry: registry)
            }
            logger.notice("once")
            #expect(count(.notice) == 1)
        }
    }

    @Suite struct DiagnosticLogTests {
        @Test func `Outrider's own messages go to the logger at their levels`() {
            let memory = InMemoryLogHandler()
            let log = DiagnosticLog()
            log.send(to: Logger(label: "outrider") { _ in memory })
            let registry = Registry(log: log)
            _ = registry.counter("orders_total", help: "Orders.")
            _ = registry.gauge("orders_total", help: "Orders.")
            #expect(memory.entries.map(\.level) == [.error])
            #expect(memory.entries.first?.message.description.contains("orders_total") == true)
            let counter = registry.counter("paid_total", help: "Paid.")
            counter.increment(by: -1)
            #expect(memory.entries.map(\.level) == [.error, .warning])
        }

        @Test func `Outrider's own messages are counted without recursion`() {
            let memory = InMemoryLogHandler()
            let log = DiagnosticLog()
            let registry = Registry(log: log)
            // The service has registered this name for something else.
            _ = registry.gauge("log_messages_total", help: "Something else.")
            let makeLogger: @Sendable () -> Logger = {
                Logger(label: "outrider") { _ in CountingLogHandler(memory, registry: registry) }
            }
            // Even a logger that is created for each message, whose counters are refused.
            log.setHandler { _, message in makeLogger().error("\(message)") }
            makeLogger().info("hello")
            #expect(memory.entries.map(\.level) == [.error, .info])
        }
    }

#endif
