// SPDX-License-Identifier: Apache-2.0
// Tests of the diagnostic log: one line per message, sent to the service's handler, and limited in
// rate.

import OutriderMetrics
import Synchronization
import Testing

@Suite struct DiagnosticLogTests {
    /// A clock that advances only when a test moves it.
    private final class ManualClock: Sendable {
        private let instant = Mutex(ContinuousClock.now)

        var now: ContinuousClock.Instant { instant.withLock { $0 } }

        func advance(by duration: Duration) {
            instant.withLock { $0 = $0.advanced(by: duration) }
        }
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])

        func append(_ line: String) { lines.withLock { $0.append(line) } }

        /// The lines logged since the last call.
        func take() -> [String] {
            lines.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }
    }

    private let clock: ManualClock
    private let lines: Lines
    private let log: DiagnosticLog

    init() {
        let clock = ManualClock()
        let lines = Lines()
        self.clock = clock
        self.lines = lines
        log = DiagnosticLog(
            handler: { level, message in lines.append("\(level.rawValue): \(message)") },
            now: { clock.now })
    }

    @Test func `six messages about one subject are logged per minute`() {
        for number in 1...6 { log.report(.warning, about: "a", "message \(number)") }
        for number in 7...9 { log.report(.warning, about: "a", "message \(number)") }
        #expect(lines.take() == (1...6).map { "warning: message \($0)" })
        clock.advance(by: .milliseconds(59_999))
        log.report(.warning, about: "a", "message 10")
        #expect(lines.take() == [])
    }

    @Test func `the next minute's first message reports how many were suppressed`() {
        for _ in 1...9 { log.report(.info, about: "a", "again") }
        _ = lines.take()
        clock.advance(by: .seconds(60))
        log.report(.info, about: "a", "again")
        log.report(.info, about: "a", "again")
        #expect(
            lines.take() == ["info: again (3 similar messages were suppressed)", "info: again"])
    }

    @Test func `suppressed messages are reported only once`() {
        for _ in 1...9 { log.report(.info, about: "a", "again") }
        clock.advance(by: .seconds(60))
        log.report(.info, about: "a", "again")
        _ = lines.take()
        clock.advance(by: .seconds(60))
        log.report(.info, about: "a", "again")
        #expect(lines.take() == ["info: again"])
    }

    @Test func `suppressed messages are still reported after a long silence`() {
        for _ in 1...9 { log.report(.info, about: "a", "again") }
        _ = lines.take()
        clock.advance(by: .seconds(86_400))
        log.report(.info, about: "a", "again")
        #expect(lines.take() == ["info: again (3 similar messages were suppressed)"])
    }

    @Test func `each subject has its own allowance`() {
        for _ in 1...20 { log.report(.info, about: "a", "a") }
        for _ in 1...20 { log.report(.error, about: "b", "b") }
        #expect(
            lines.take()
                == Array(repeating: "info: a", count: 6) + Array(repeating: "error: b", count: 6))
    }

    @Test func `many subjects together are limited too`() {
        for number in 0..<100_000 { log.report(.info, about: "subject \(number)", "x") }
        #expect(lines.take().count <= 2_000)
    }

    @Test(arguments: [
        "\n", "\r", "\r\n", "\t", "\u{0}", "\u{1B}[31m", "\u{7F}", "\u{85}", "\u{9B}", "\u{8}",
    ])
    func `a logged line has no control characters`(text: String) {
        log.report(.warning, about: "a", "before\(text)after")
        let said = lines.take()
        #expect(said.count == 1)
        let scalars = said.joined().unicodeScalars
        #expect(!scalars.contains { $0.properties.generalCategory == .control })
        #expect(said.first?.hasPrefix("warning: before") == true)
        #expect(said.first?.hasSuffix("after") == true)
    }

    @Test func `a bad name cannot forge a log line`() {
        let registry = Registry(hasOwnMetrics: false, log: log)
        _ = registry.gauge("a\noutrider: error: forged", help: "X.")
        _ = registry.gauge("x", help: "X.", labels: ["a\r\u{1B}[2J"])
        let scalars = lines.take().joined().unicodeScalars
        #expect(!scalars.isEmpty)
        #expect(!scalars.contains { $0.properties.generalCategory == .control })
    }

    @Test func `the log's memory is bounded in bytes, whatever it is given`() {
        let long = String(repeating: "x", count: 20_000)
        for number in 0..<2_000 {
            log.report(.info, about: "\(number)\(long)", "x")
            log.reportOnce(.info, "\(number)\(long)")
        }
        #expect(log.rememberedLength <= 1_000 * (200 + 2_000))
    }

    @Test func `a message of any length becomes one line of bounded length`() {
        log.report(.info, about: "a", String(repeating: "x", count: 10_000_000))
        let said = lines.take()
        #expect(said.count == 1)
        #expect(said.joined().utf8.count < 100_000)
    }

    @Test func `reportOnce logs a message once`() {
        for _ in 0..<10 { log.reportOnce(.error, "the sky falls") }
        clock.advance(by: .seconds(3_600))
        log.reportOnce(.error, "the sky falls")
        #expect(lines.take() == ["error: the sky falls"])
    }

    @Test func `the handler can be replaced`() {
        let other = Lines()
        log.report(.info, about: "a", "first")
        log.setHandler { _, message in other.append(message) }
        log.report(.info, about: "a", "second")
        log.reportOnce(.info, "third")
        #expect(lines.take() == ["info: first"])
        #expect(other.take() == ["second", "third"])
    }

    @Test func `the handler may use the log and the metrics`() {
        let registry = Registry(hasOwnMetrics: false, log: log)
        let lines = lines
        log.setHandler { [log] _, message in
            lines.append(message)
            registry.counter("log_messages", help: "M.", labels: ["level"]).with("x").increment()
            log.reportOnce(.info, "from inside")
            log.setHandler(nil)
        }
        _ = registry.gauge("9", help: "Nine.")
        #expect(registry.sample(#"log_messages_total{level="x"}"#) == "2")
        #expect(lines.take().count == 2)
    }

    @Test func `many refused observations make only a few log lines`() {
        let registry = Registry(log: log)
        let counter = registry.counter("orders", help: "Orders.")
        for _ in 0..<10_000 { counter.increment(by: -1) }
        #expect(lines.take().count == 6)
        #expect(registry.observationsRefused("negative") == "10000")
    }
}
