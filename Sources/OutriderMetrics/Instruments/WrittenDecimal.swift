// SPDX-License-Identifier: Apache-2.0
// Exact decimal arithmetic for bucket bounds: 0.1 plus 0.2 is 0.3.
//
// Sums and products of doubles soon differ from those of the decimals that they stand for: a
// millionth times ten is 9.999999999999999e-06, and an observation of 1e-05 is above that bound. So
// a series of bounds is computed from the shortest decimals of its start and step, and each bound
// is rounded to a double once.

/// The shortest decimal that stands for a double: digits · 10^exponent.
struct WrittenDecimal {
    /// At most 17 digits, the last of which is not zero; 0 for zero.
    let digits: UInt64
    let exponent: Int
    let isNegative: Bool

    /// How many digits of a product are kept: more than three times those of a double.
    private static let keptDigits = 60

    /// Returns nil for an infinite value or NaN.
    init?(_ value: Double) {
        guard value.isFinite else { return nil }
        let parts = "\(value.magnitude)".split(separator: "e")
        var digits: UInt64 = 0
        var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        var isFraction = false
        for byte in parts[0].utf8 {
            if byte == UInt8(ascii: ".") {
                isFraction = true
                continue
            }
            digits = digits * 10 + UInt64(byte - UInt8(ascii: "0"))
            if isFraction { exponent -= 1 }
        }
        while digits != 0, digits % 10 == 0 {
            digits /= 10
            exponent += 1
        }
        self.digits = digits
        self.exponent = digits == 0 ? 0 : exponent
        isNegative = value < 0
    }

    /// `start`, `start` + `step`, `start` + 2 · `step` and so on, each rounded to the nearest
    /// double.
    ///
    /// - Parameter count: At most a thousand.
    static func sums(from start: Double, step: Double, count: Int) -> [Double] {
        guard let first = WrittenDecimal(start), let second = WrittenDecimal(step) else {
            return (0..<count).map { start + Double($0) * step }
        }
        let exponents = [first, second].filter { $0.digits != 0 }.map(\.exponent)
        let lowest = exponents.min() ?? 0
        // 17 digits, 18 decimal places and three digits of the count fit into 128 bits. If the
        // exponents are further apart, the smaller number hardly affects the sum.
        guard (exponents.max() ?? 0) - lowest <= 18 else {
            return (0..<count).map { start + Double($0) * step }
        }
        let (own, added) = (first.scaled(to: lowest), second.scaled(to: lowest))
        return (0..<count).map { double("\(own + Int128($0) * added)e\(lowest)") }
    }

    /// `start`, `start` · `factor`, `start` · `factor`² and so on, each rounded to the nearest
    /// double.
    static func products(from start: Double, factor: Double, count: Int) -> [Double] {
        guard let first = WrittenDecimal(start), let second = WrittenDecimal(factor), factor > 0
        else { return Array(repeating: .nan, count: count) }
        // The lowest digit first.
        var digits = "\(first.digits)".utf8.reversed().map { UInt64($0 - UInt8(ascii: "0")) }
        var exponent = first.exponent
        return (0..<count).map { index in
            if index > 0 {
                var carry: UInt64 = 0
                for place in digits.indices {
                    let product = digits[place] * second.digits + carry
                    digits[place] = product % 10
                    carry = product / 10
                }
                while carry > 0 {
                    digits.append(carry % 10)
                    carry /= 10
                }
                exponent += second.exponent
                let excess = max(0, digits.count - keptDigits)
                digits.removeFirst(excess)
                exponent += excess
            }
            let text = digits.reversed().map { "\($0)" }.joined()
            let magnitude = double("\(text)e\(exponent)")
            return first.isNegative ? -magnitude : magnitude
        }
    }

    /// The signed digits as a multiple of 10^`exponent`, which must not exceed the number's own
    /// exponent.
    private func scaled(to exponent: Int) -> Int128 {
        if digits == 0 { return 0 }
        var scaled = Int128(digits)
        for _ in exponent..<self.exponent { scaled *= 10 }
        return isNegative ? -scaled : scaled
    }

    /// The double nearest to a decimal; infinite if it is out of range.
    private static func double(_ text: String) -> Double { Double(text) ?? .infinity }
}
