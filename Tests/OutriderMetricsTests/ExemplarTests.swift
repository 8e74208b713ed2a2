// SPDX-License-Identifier: Apache-2.0
// Tests of exemplars: each is on its sample, and an invalid one does no harm.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct ExemplarTests {
    private let clock = ManualClock(secondsSinceEpoch: 1_700_000_000.25)
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: true, log: .silent, clock: clock)
    }

    /// The OpenMetrics lines with this prefix.
    private func lines(_ start: String) -> [String] {
        registry.openMetricsText().split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix(start) }
    }

    @Test func `a counter shows the exemplar of its latest increment that had one`() {
        let orders = registry.counter("orders", help: "", labels: ["kind"])
        orders.with("book").increment(exemplar: .trace("4bf9", span: "00f0"))
        orders.with("record").increment(by: 2.5, exemplar: ["order": "a\"\\\nb"])
        orders.with("ticket").increment()
        #expect(
            lines("orders_total") == [
                #"orders_total{kind="book"} 1 # {trace_id="4bf9",span_id="00f0"} 1 1700000000.25"#,
                #"orders_total{kind="record"} 2.5 # {order="a\"\\\nb"} 2.5 1700000000.25"#,
                #"orders_total{kind="ticket"} 1"#,
            ])
        #expect(!registry.text().contains("# {"))
    }

    @Test func `a histogram shows an exemplar on the bucket of its observation`() {
        let wait = registry.histogram("wait", help: "", buckets: [0.1, 1])
        wait.observe(0.05)
        wait.observe(0.5, exemplar: .trace("aa"))
        wait.observe(.milliseconds(2_500), exemplar: .trace("bb"))
        #expect(
            lines("wait") == [
                #"wait_bucket{le="0.1"} 1"#,
                #"wait_bucket{le="1.0"} 2 # {trace_id="aa"} 0.5 1700000000.25"#,
                #"wait_bucket{le="+Inf"} 3 # {trace_id="bb"} 2.5 1700000000.25"#,
                "wait_sum 3.05", "wait_count 3",
            ])
    }

    @Test func `each bucket accepts one exemplar per second, and evaluates it only then`() {
        let wait = registry.histogram("wait", help: "", buckets: [1])
        let asked = Tally()
        func next(_ trace: String) -> Exemplar {
            asked.add()
            return .trace(trace)
        }
        wait.observe(0.1, exemplar: next("first"))
        clock.advance(by: .milliseconds(999))
        wait.observe(0.2, exemplar: next("too soon"))
        wait.observe(3, exemplar: next("another bucket"))
        #expect(asked.count == 2)
        clock.advance(by: .milliseconds(1))
        wait.observe(0.3, exemplar: next("second"))
        #expect(asked.count == 3)
        #expect(lines("wait_bucket{le=\"1.0\"}").first?.contains("\"second\"} 0.3") == true)
        #expect(wait.count == 4)
    }

    @Test func `a nil exemplar does not use up the interval`() {
        let orders = registry.counter("orders", help: "")
        orders.increment(exemplar: nil)
        orders.increment(exemplar: .trace("a"))
        clock.advance(by: .seconds(2))
        orders.increment(exemplar: nil)
        orders.increment(exemplar: .trace("b"))
        #expect(lines("orders_total").first?.contains("trace_id=\"b\"") == true)
    }

    @Test(
        arguments: [
            (["a": String(repeating: "x", count: 128)], "exemplar_too_long"),
            (["trace_id": "1", "trace_id": "2"], "invalid_exemplar"),
            (["trace id": "1"], "invalid_exemplar"), (["": "1"], "invalid_exemplar"),
            (["a}": "1"], "invalid_exemplar"), (["é": "1"], "invalid_exemplar"),
            (["a": "b\0c"], "invalid_exemplar"),
        ] as [(Exemplar, String)])
    func `an invalid exemplar is refused and counted, and its observation still counts`(
        exemplar: Exemplar, reason: String
    ) {
        let orders = registry.counter("orders", help: "")
        orders.increment(exemplar: exemplar)
        #expect(lines("orders_total") == ["orders_total 1"])
        #expect(registry.observationsRefused(reason) == "1")
    }

    @Test func `128 characters are allowed, whatever their size in bytes`() {
        let orders = registry.counter("orders", help: "")
        let value = String(repeating: "\u{1F600}", count: 127)
        orders.increment(exemplar: ["a": value])
        #expect(
            lines("orders_total").first?.hasPrefix("orders_total 1 # {a=\"\(value)\"} 1 ") == true)
    }

    @Test func `a refused amount's exemplar is dropped`() {
        let orders = registry.counter("orders", help: "")
        orders.increment(by: -1, exemplar: .trace("a"))
        registry.histogram("wait", help: "").observe(.nan, exemplar: .trace("a"))
        #expect(!registry.openMetricsText().contains("# {"))
    }

    @Test func `a removed series' exemplar is dropped`() {
        let orders = registry.counter("orders", help: "", labels: ["kind"])
        orders.with("book").increment(exemplar: .trace("a"))
        orders.remove("book")
        orders.with("book").increment()
        #expect(lines("orders_total") == [#"orders_total{kind="book"} 1"#])
    }
}
