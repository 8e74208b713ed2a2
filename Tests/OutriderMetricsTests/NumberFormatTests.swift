// SPDX-License-Identifier: Apache-2.0
// Tests of number formatting: the shortest form that parses to the same number.

import OutriderMetrics
import Testing

@Suite struct NumberFormatTests {
    @Test(
        arguments: [
            (0, "0"), (1, "1"), (-1, "-1"), (0.1, "0.1"), (0.3, "0.3"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100, "100"), (1_234.5, "1234.5"), (1e6, "1000000"), (-0.001, "-0.001"),
            (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (.signalingNaN, "NaN"),
            (1_763_700_000.123, "1763700000.123"),
        ] as [(Double, String)])
    func `everyday numbers are printed in their usual form`(value: Double, printed: String) {
        #expect(Self.printed([value]).map(String.init) == [printed])
    }

    @Test(arguments: [
        0, -0.0, .leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude, .ulpOfOne,
        -.greatestFiniteMagnitude, -.leastNonzeroMagnitude, 0x1p53, 0x1p53 + 2, 0x1p63, 0x1p64,
        1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 1e23, 9.5e-5, 1e-4, 1e-5, 1e-7, -1e-300,
        123_456_789_012_345_680, 99_999_999, 100_000_000, 99999999.5, 4.35, 0.000035689,
    ])
    func `special numbers parse to the same number`(value: Double) {
        #expect(Self.printed([value]).compactMap(Double.init) == [value])
        #expect(Self.printed([value]).map(Self.digits) == [Self.digits("\(value)")])
    }

    @Test func `random numbers parse to the same number, in as few digits as possible`() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        var values: [Double] = []
        while values.count < 5_000 {
            let value =
                switch values.count % 4 {
                case 0: Double(bitPattern: generator.next())
                case 1: Double(Int.random(in: -1_000_000...1_000_000, using: &generator)) / 1_000
                case 2: Double.random(in: -1e9...1e9, using: &generator)
                default: Double(Int64(bitPattern: generator.next() >> 3))
                }
            if value.isFinite { values.append(value) }
        }
        let printed = Self.printed(values)
        #expect(printed.count == values.count)
        for (value, text) in zip(values, printed) {
            #expect(Double(text) == value, "\(value) was printed as \(text); seed \(seed)")
            #expect(
                Self.digits(text) == Self.digits("\(value)"),
                "\(value) was printed as \(text); seed \(seed)")
        }
    }

    @Test func `random integer counts are printed in full`() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        let registry = Registry.bare
        let family = registry.counter("c", help: "C.", labels: ["n"])
        var expected = "# HELP c_total C.\n# TYPE c_total counter\n"
        for n in 0..<2_000 {
            let count = Int(generator.next() >> UInt64.random(in: 2...63, using: &generator))
            family.with("\(n)").increment(by: count)
            expected += "c_total{n=\"\(n)\"} \(count)\n"
        }
        #expect(registry.text() == expected, "seed \(seed)")
    }

    @Test func `bucket bounds always have a point or an exponent`() {
        let bounds = [-1e22, -2, 0, 0.000_001, 0.25, 1, 1_048_576, 1e15, 1e17, 1e20, 1e300]
        let registry = Registry.bare
        _ = registry.histogram("h", help: "H.", buckets: Buckets(bounds))
        let printed = registry.text().split(separator: "\n").compactMap { line in
            line.contains("le=") ? line.split(separator: "\"").dropFirst().first : nil
        }
        #expect(printed.dropLast().compactMap { Double($0) } == bounds)
        #expect(printed.last == "+Inf")
        #expect(printed.dropLast().allSatisfy { $0.contains(".") || $0.contains("e") })
    }

    /// A gauge's printed value for each of these values.
    private static func printed(_ values: [Double]) -> [Substring] {
        let registry = Registry.bare
        let family = registry.gauge("g", help: "G.", labels: ["n"])
        for (index, value) in values.enumerated() { family.with("\(index)").set(value) }
        return registry.text().split(separator: "\n").dropFirst(2)
            .compactMap { $0.split(separator: " ").last }
    }

    /// The significant digits of a printed number, with its sign.
    private static func digits(_ text: some StringProtocol) -> String {
        let mantissa = text.prefix { $0 != "e" }
        let digits = mantissa.filter(\.isNumber).drop { $0 == "0" }
        let end =
            digits.lastIndex { $0 != "0" }.map { digits.index(after: $0) } ?? digits.startIndex
        return (mantissa.hasPrefix("-") ? "-" : "") + digits[..<end]
    }
}
