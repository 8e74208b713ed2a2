// SPDX-License-Identifier: Apache-2.0
// Tests of lookups: a series is found by its label values, and never by similar ones.

import OutriderMetrics
import TestSupport
import Testing

@Suite struct LookupTests {
    private let registry = Registry.bare

    /// Values with and without characters that a rendered label escapes.
    static let texts = [
        "", "a", "\\", "\\\\", "n", "\\n", "\n", "\"", "\\\"", "a\"", "\",b=\"", "a\",b=\"c",
        "=", "é", "日本語", "0123456789abcdef", "0123456789abcdef0", "a b", "\u{0}", "_OVERFLOW",
    ]

    @Test func `different values are different series, however they are escaped`() {
        let family = registry.counter("c", help: "C.", labels: ["a", "b", "c"])
        var expected: [[String]: Int] = [:]
        for turn in 1...2 {
            for first in Self.texts {
                for second in Self.texts {
                    for third in Self.texts {
                        family.with(first, second, third).increment(by: turn)
                        expected[[first, second, third], default: 0] += turn
                    }
                }
            }
        }
        #expect(family.count == Self.texts.count * Self.texts.count * Self.texts.count)
        for (values, count) in expected {
            #expect(family.with(values).value == Double(count), "\(values)")
        }
    }

    @Test func `every form of a lookup finds the same series`() {
        for names in [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]] {
            let family = registry.counter("c", help: "C.", labels: names)
            for values in [["x", "y", "z"], ["y", "", "x"], ["\"", "y", "\\"]] {
                let counter = family.with(values)
                #expect(family.with(values[0], values[1], values[2]) === counter)
                #expect(
                    family.with(Dictionary(uniqueKeysWithValues: zip(names, values))) === counter)
                family.record(values[0], values[1], values[2]) { #expect($0 === counter) }
            }
        }
        let two = registry.counter("two", help: "T.", labels: ["b", "a"])
        #expect(two.with("1", "2") === two.with(["a": "2", "b": "1"]))
        two.record("1", "2") { $0.increment() }
        #expect(registry.sample(#"two_total{a="2",b="1"}"#) == "1")
        let one = registry.counter("one", help: "O.", labels: ["a"])
        one.record("é") { $0.increment() }
        one.record("é") { $0.increment() }
        #expect(registry.sample(#"one_total{a="é"}"#) == "2")
    }

    @Test func `a removed series is not found again`() {
        let family = registry.counter("c", help: "C.", labels: ["a", "b"])
        let old = family.with("1", "2")
        family.remove("1", "2")
        #expect(family.with("1", "2") !== old)
        for number in 0..<500 { family.record("\(number)", "x") { $0.increment() } }
        for number in 0..<500 where number % 2 == 0 { family.remove("\(number)", "x") }
        for number in 0..<500 {
            #expect(family.with("\(number)", "x").value == (number % 2 == 0 ? 0 : 1))
        }
    }

    @Test func `a wrong number of labels finds no series and is refused`() {
        let registry = Registry(log: .silent)
        let family = registry.counter("c", help: "C.", labels: ["a"])
        family.record("1", "2") { $0.increment() }
        family.record("1", "2", "3") { $0.increment() }
        #expect(family.count == 0)
        #expect(registry.observationsRefused("wrong_labels") == "2")
    }

    @Test func `memory withdrawn from readers is freed once they have left`() {
        let gate = ReaderGate.shared
        var retired = RetiredObjects()
        let freed = Tally()
        retired.retire(Notice(freed))
        gate.whileReading {
            _ = retired.reclaim(gate)
            #expect(freed.count == 0)
        }
        // Readers in other tests come and go.
        let isFreed = eventually {
            _ = retired.reclaim(gate)
            return freed.count == 1
        }
        #expect(isFreed)
        #expect(retired.count == 0)
    }

    /// Counts when it is freed.
    private final class Notice: Sendable {
        private let freed: Tally

        init(_ freed: Tally) { self.freed = freed }

        deinit { freed.add() }
    }
}
