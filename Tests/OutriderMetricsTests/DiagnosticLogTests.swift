// SPDX-License-Identifier: Apache-2.0
// What Outrider says is one line at a time, wherever the service wants it, and never a flood.

import OutriderMetrics
import Synchronization
import Testing

@Suite struct DiagnosticLogTests {
    /// A clock that stands still until a test moves it.
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

        /// What was said since this was asked last.
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

    @Test func `six messages about one subject pass in a minute`() {
        for number in 1...6 { log.say(.warning, about: "a", "message \(number)") }
        for number in 7...9 { log.say(.warning, about: "a", "message \(number)") }
        #expect(lines.take() == (1...6).map { "warning: message \($0)" })
        clock.advance(by: .milliseconds(59_999))
        log.say(.warning, about: "a", "message 10")
        #expect(lines.take() == [])
    }

    @Test func `the next minute tells how many were left out`() {
        for _ in 1...9 { log.say(.info, about: "a", "again") }
        _ = lines.take()
        clock.advance(by: .seconds(60))
        log.say(.info, about: "a", "again")
        log.say(.info, about: "a", "again")
        #expect(lines.take() == ["info: again (3 more like it were left out)", "info: again"])
    }

    @Test func `what was told is not told again`() {
        for _ in 1...9 { log.say(.info, about: "a", "again") }
        clock.advance(by: .seconds(60))
        log.say(.info, about: "a", "again")
        _ = lines.take()
        clock.advance(by: .seconds(60))
        log.say(.info, about: "a", "again")
        #expect(lines.take() == ["info: again"])
    }

    @Test func `nothing is forgotten over minutes of silence`() {
        for _ in 1...9 { log.say(.info, about: "a", "again") }
        _ = lines.take()
        clock.advance(by: .seconds(86_400))
        log.say(.info, about: "a", "again")
        #expect(lines.take() == ["info: again (3 more like it were left out)"])
    }

    @Test func `each subject has an allowance of its own`() {
        for _ in 1...20 { log.say(.info, about: "a", "a") }
        for _ in 1...20 { log.say(.error, about: "b", "b") }
        #expect(
            lines.take()
                == Array(repeating: "info: a", count: 6) + Array(repeating: "error: b", count: 6))
    }

    @Test func `subjects without end do not make a flood without end`() {
        for number in 0..<100_000 { log.say(.info, about: "subject \(number)", "x") }
        #expect(lines.take().count <= 2_000)
    }

    @Test(arguments: [
        "\n", "\r", "\r\n", "\t", "\u{0}", "\u{1B}[31m", "\u{7F}", "\u{85}", "\u{9B}", "\u{8}",
    ])
    func `a line has no control characters`(text: String) {
        log.say(.warning, about: "a", "before\(text)after")
        let said = lines.take()
        #expect(said.count == 1)
        let scalars = said.joined().unicodeScalars
        #expect(!scalars.contains { $0.properties.generalCategory == .control })
        #expect(said.first?.hasPrefix("warning: before") == true)
        #expect(said.first?.hasSuffix("after") == true)
    }

    @Test func `a bad name cannot forge a line of the log`() {
        let registry = Registry(reportsItself: false, log: log)
        _ = registry.gauge("a\noutrider: error: forged", help: "X.")
        _ = registry.gauge("x", help: "X.", labels: ["a\r\u{1B}[2J"])
        let scalars = lines.take().joined().unicodeScalars
        #expect(!scalars.isEmpty)
        #expect(!scalars.contains { $0.properties.generalCategory == .control })
    }

    @Test func `what the log remembers has a limit in bytes, whatever it is told`() {
        let long = String(repeating: "x", count: 20_000)
        for number in 0..<2_000 {
            log.say(.info, about: "\(number)\(long)", "x")
            log.sayOnce(.info, "\(number)\(long)")
        }
        #expect(log.rememberedLength <= 1_000 * (200 + 2_000))
    }

    @Test func `a message of any length is one line of a bounded one`() {
        log.say(.info, about: "a", String(repeating: "x", count: 10_000_000))
        let said = lines.take()
        #expect(said.count == 1)
        #expect(said.joined().utf8.count < 100_000)
    }

    @Test func `what is said once is said once`() {
        for _ in 0..<10 { log.sayOnce(.error, "the sky falls") }
        clock.advance(by: .seconds(3_600))
        log.sayOnce(.error, "the sky falls")
        #expect(lines.take() == ["error: the sky falls"])
    }

    @Test func `the handler can be replaced`() {
        let other = Lines()
        log.say(.info, about: "a", "first")
        log.setHandler { _, message in other.append(message) }
        log.say(.info, about: "a", "second")
        log.sayOnce(.info, "third")
        #expect(lines.take() == ["info: first"])
        #expect(other.take() == ["second", "third"])
    }

    @Test func `the handler may use the log and the metrics itself`() {
        let registry = Registry(reportsItself: false, log: log)
        let lines = lines
        log.setHandler { [log] _, message in
            lines.append(message)
            registry.counter("log_messages", help: "M.", labels: ["level"]).with("x").increment()
            log.sayOnce(.info, "from inside")
            log.setHandler(nil)
        }
        _ = registry.gauge("9", help: "Nine.")
        #expect(registry.sample(#"log_messages_total{level="x"}"#) == "2")
        #expect(lines.take().count == 2)
    }

    @Test func `a flood of refused observations is a few lines of the log`() {
        let registry = Registry(log: log)
        let counter = registry.counter("orders", help: "Orders.")
        for _ in 0..<10_000 { counter.increment(by: -1) }
        #expect(lines.take().count == 6)
        #expect(registry.observationsRefused("negative") == "10000")
    }
}
