// SPDX-License-Identifier: Apache-2.0
// Tests of typed label values, which find the same series as their text.

import OutriderMetrics
import Testing

private enum Kind: String, LabelValue {
    case book, ticket
    case musicRecord = "record"
}

private enum Payment: String, LabelValue {
    case card, invoice
}

/// An enum with one case, which has size zero.
private enum Only: String, LabelValue {
    case one
}

/// An enum that lists its cases in a different order, and not all of them.
private enum Unordered: String, LabelValue {
    case first, second, hidden, third

    static var allCases: [Unordered] { [.third, .first, .second] }
}

/// A value larger than a byte.
private struct Code: LabelValue {
    let number: Int

    init(_ number: Int) { self.number = number }
    init?(rawValue: String) {
        guard let number = Int(rawValue) else { return nil }
        self.number = number
    }

    var rawValue: String { "\(number)" }
    static var allCases: [Code] { (0..<300).map(Code.init) }
}

@Suite struct TypedFamilyTests {
    private let registry = Registry(log: .silent)

    @Test func `each combination of values is the same series as their text`() {
        let orders = registry.counter("orders", help: "Orders.", labels: ["payment", "kind"])
        let typed = orders.typed(Payment.self, Kind.self)
        for payment in Payment.allCases {
            for kind in Kind.allCases {
                let found = typed.with(payment, kind)
                #expect(found === orders.with(payment.rawValue, kind.rawValue))
                #expect(found === typed.with(payment, kind))
            }
        }
        #expect(orders.count == 6)
        typed.record(.invoice, .musicRecord) { $0.increment() }
        #expect(registry.sample(#"orders_total{kind="record",payment="invoice"}"#) == "1")
    }

    @Test func `gauges and histograms can be typed too`() {
        let depth = registry.gauge("depth", help: "D.", labels: ["kind"]).typed(Kind.self)
        depth.record(.ticket) { $0.set(3) }
        let waits = registry.histogram("wait", help: "W.", labels: ["kind"], buckets: [1])
            .typed(Kind.self)
        waits.record(.ticket) { $0.observe(0.5) }
        #expect(registry.sample(#"depth{kind="ticket"}"#) == "3")
        #expect(registry.sample(#"wait_count{kind="ticket"}"#) == "1")
    }

    @Test func `enums of one case, large values and unordered cases find their series`() {
        let hits = registry.counter(
            "hits", help: "H.", labels: ["a", "b", "c"], limit: SeriesLimit(count: 1_000))
        let typed = hits.typed(Only.self, Unordered.self, Code.self)
        for value in [Unordered.first, .second, .third] {
            for code in [Code(0), Code(17), Code(299)] {
                #expect(
                    typed.with(.one, value, code)
                        === hits.with("one", value.rawValue, code.rawValue))
            }
        }
        #expect(hits.count == 900)
    }

    @Test func `a value that its type does not list finds its own series`() {
        let hits = registry.counter("hits", help: "H.", labels: ["a", "b"])
        let typed = hits.typed(Kind.self, Unordered.self)
        for kind in Kind.allCases {
            #expect(typed.with(kind, .hidden) === hits.with(kind.rawValue, "hidden"))
            #expect(typed.with(kind, .third) === hits.with(kind.rawValue, "third"))
        }
        let codes = registry.counter("codes", help: "C.", labels: ["a", "code"])
        let typedCodes = codes.typed(Kind.self, Code.self)
        #expect(typedCodes.with(.ticket, Code(-1)) === codes.with("ticket", "-1"))
        typedCodes.record(.ticket, Code(-1)) { $0.increment() }
        #expect(codes.with("ticket", "-1").value == 1)
    }

    @Test func `combinations beyond the table's size are looked up by text`() {
        let hits = registry.counter(
            "hits", help: "H.", labels: ["a", "b"], limit: SeriesLimit(count: 10))
        let typed = hits.typed(Code.self, Code.self)
        #expect(typed.with(Code(299), Code(1)) === hits.with("299", "1"))
        #expect(typed.with(Code(299), Code(1)) === hits.with("299", "1"))
    }

    @Test func `all combinations exist from the start, and no others`() {
        let hits = registry.counter("hits", help: "H.", labels: ["kind", "payment"])
        _ = hits.typed(Kind.self, Payment.self)
        #expect(hits.count == 6)
        #expect(registry.sample(#"hits_total{kind="record",payment="card"}"#) == "0")
    }

    @Test func `a typed instrument works unexposed after its series was removed`() {
        let hits = registry.counter("hits", help: "H.", labels: ["kind"])
        let typed = hits.typed(Kind.self)
        hits.remove("book")
        typed.with(.book).increment()
        #expect(registry.sample(#"hits_total{kind="book"}"#) == nil)
        #expect(typed.with(.book).value == 1)
        #expect(hits.typed(Kind.self).with(.book).value == 0)
    }

    @Test func `combinations beyond the limit share the overflow series`() {
        let hits = registry.counter(
            "hits", help: "H.", labels: ["kind"], limit: SeriesLimit(count: 1))
        let typed = hits.typed(Kind.self)
        for kind in Kind.allCases { typed.with(kind).increment() }
        #expect(registry.sample(#"hits_total{kind="_OVERFLOW"}"#) == "2")
        #expect(registry.sample(#"outrider_series_overflowed_total{family="hits_total"}"#) == "2")
        #expect(hits.count == 2)
    }

    @Test func `a wrong number of types is refused and counted each time`() {
        let hits = registry.counter("hits", help: "H.", labels: ["kind"])
        let typed = hits.typed(Kind.self, Payment.self)
        for _ in 0..<2 { typed.with(.book, .card).increment() }
        #expect(registry.observationsRefused("wrong_labels") == "2")
        #expect(hits.count == 0)
    }
}

@Suite struct TypedFamilyConcurrencyTests {
    @Test func `concurrent recording through separate typed families adds up`() async {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "H.", labels: ["kind", "payment"])
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 {
                        let typed = hits.typed(Kind.self, Payment.self)
                        for kind in Kind.allCases { typed.record(kind, .card) { $0.increment() } }
                    }
                }
            }
        }
        for kind in Kind.allCases { #expect(hits.with(kind.rawValue, "card").value == 200) }
        #expect(hits.count == 6)
    }
}
