// SPDX-License-Identifier: Apache-2.0
// Tests of the decimal printer, against hand-picked values and a slow reference that takes its
// digits from `Double.description`, a shortest printer of another design.

import OutriderMetrics
import Testing

@Suite struct ShortestDecimalTests {
    @Test(arguments: pickedValues)
    func `picked values print as expected`(value: Double, expected: String) {
        #expect(text(value) == expected)
    }

    @Test(arguments: halfwayValues)
    func `of two equally close decimals, the even one is printed`(value: Double, expected: String) {
        #expect(text(value) == expected)
    }

    @Test func `values that are not finite have the names that Prometheus parses`() {
        #expect(text(.nan) == "NaN")
        #expect(text(-.nan) == "NaN")
        #expect(text(.signalingNaN) == "NaN")
        #expect(text(.infinity) == "+Inf")
        #expect(text(-.infinity) == "-Inf")
    }

    @Test func `powers of two and their neighbours agree with the reference`() {
        for exponent in -1074...1023 {
            let power = Double(sign: .plus, exponent: exponent, significand: 1)
            for value in [power.nextDown, power, power.nextUp, power * 1.5] {
                check(value)
            }
        }
    }

    @Test func `powers of ten and their neighbours agree with the reference`() throws {
        for exponent in -323...307 {
            for digits in ["1", "2.5", "9.999"] {
                let value = try #require(Double("\(digits)e\(exponent)"))
                for value in [value.nextDown.nextDown, value.nextDown, value, value.nextUp] {
                    check(value)
                }
            }
        }
    }

    @Test func `every position of the decimal point agrees with the reference`() {
        for digits in [1.0, 12, 123, 1_234_567, 123_456_789, 12_345_678_901, 0x1p53 - 1] {
            var value = digits * 1e-45
            for _ in 0..<90 {
                check(value)
                value *= 10
            }
        }
    }

    @Test func `every double parses back to the same value`() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix(state: seed)
        for _ in 0..<200_000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            guard check(value, "seed \(seed)") else { return }
        }
    }

    @Test func `typical metric values parse back to the same value`() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix(state: seed)
        let scales = [1, 1e1, 1e2, 1e3, 1e6, 1e9, 1e12, 1024, 4096, 60, 3600]
        for round in 0..<200_000 {
            let bits = Int.random(in: 1...62, using: &generator)
            let count = Double(UInt64.random(in: 0..<(1 << bits), using: &generator))
            let scale = scales[Int.random(in: 0..<scales.count, using: &generator)]
            let value =
                switch round % 5 {
                case 0: count
                case 1: count / scale
                case 2: -count * scale
                case 3: Double.random(in: 0..<1, using: &generator) * scale
                default: Double.random(in: 0..<1, using: &generator) / scale
                }
            guard check(value, "seed \(seed)") else { return }
        }
    }

    @Test func `no byte beyond the maximum length is written`() {
        let values: [Double] = [
            0, -0.0, -1e20, -123_456_789.123_456_78, -1.234_567_890_123_456_7e-300, -0.000_123_4,
            -1.234_567_890_123_456_7e-4, -9.999_999_999_999_999e20, -.infinity, .nan, 12,
        ]
        for value in values {
            var bytes = [UInt8](repeating: 0xaa, count: 64)
            // SAFETY: The array outlives the call that uses its buffer.
            let length = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
                // `write` requires 32 of the 48 remaining bytes.
                unsafe ShortestDecimal.write(value, to: buffer.baseAddress! + 16)
            }
            let end = 16 + ShortestDecimal.maximumLength
            #expect(length <= 26)
            #expect(bytes[..<16].allSatisfy { $0 == 0xaa })
            #expect(bytes[end...].allSatisfy { $0 == 0xaa })
        }
    }
}

/// Values of many magnitudes.
private let pickedValues: [(Double, String)] = [
    (0.0, "0"), (-0.0, "-0"), (1, "1"), (-1, "-1"), (9, "9"), (10, "10"), (100, "100"),
    (0.1, "0.1"), (0.3, "0.3"), (0.1 + 0.2, "0.30000000000000004"), (-2.5, "-2.5"),
    (0.001, "0.001"), (0.0001, "0.0001"), (0.00001, "1e-05"), (0.000123, "0.000123"),
    (-0.000099999, "-9.9999e-05"), (12.5e-10, "1.25e-09"), (123456.789, "123456.789"),
    (99_999_999, "99999999"), (100_000_000, "100000000"), (99_999_999.5, "99999999.5"),
    (1e15, "1000000000000000"), (0x1p53 - 1, "9007199254740991"),
    (0x1p53, "9007199254740992"), (9007199254740993.0, "9007199254740992"),
    (9007199254740995.0, "9007199254740996"), (1e16, "10000000000000000"),
    (0x1p60, "1152921504606847000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
    (-1e22, "-1e+22"), (1.5e21, "1.5e+21"), (9.999999999999999e20, "999999999999999900000"),
    (1e23, "1e+23"), (9.5e-39, "9.5e-39"), (1.7e70, "1.7e+70"), (1e100, "1e+100"),
    (Double.leastNonzeroMagnitude, "5e-324"), (0x1p-1073, "1e-323"),
    (-0x1p-1030, "-8.691694759794e-311"),
    (Double.leastNormalMagnitude, "2.2250738585072014e-308"),
    (Double.greatestFiniteMagnitude, "1.7976931348623157e+308"),
    (-Double.greatestFiniteMagnitude, "-1.7976931348623157e+308"),
    (Double.ulpOfOne, "2.220446049250313e-16"), (Double.pi, "3.141592653589793"),
    (0x1p-44, "5.684341886080802e-14"),
]

/// Values halfway between two shortest decimals.
private let halfwayValues: [(Double, String)] = [
    (0x1p50 + 0.25, "1125899906842624.2"), (0x1p50 + 0.75, "1125899906842624.8"),
    (0x1p50 + 1.25, "1125899906842625.2"), (0x1p49 + 0.125, "562949953421312.1"),
    (0x1p49 + 0.375, "562949953421312.4"), (0x1p51 + 0.5, "2251799813685248.5"),
]

/// A generator that returns the same numbers for the same seed.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// Returns what `write` prints.
private func text(_ value: Double) -> String {
    // SAFETY: The buffer has the capacity that `write` requires.
    unsafe String(unsafeUninitializedCapacity: ShortestDecimal.maximumLength) { buffer in
        guard let start = buffer.baseAddress else { return 0 }
        return unsafe ShortestDecimal.write(value, to: start)
    }
}

/// Checks that a finite value parses back to the same bits and prints like the reference.
@discardableResult
private func check(_ value: Double, _ note: String = "") -> Bool {
    let printed = text(value)
    let isEqual =
        Double(printed)?.bitPattern == value.bitPattern
        && printed == reference(value)
    if !isEqual {
        Issue.record("\(value) printed as \(printed), \(note)")
    }
    return isEqual
}

/// Prints a finite value from the digits of its description.
private func reference(_ value: Double) -> String {
    let sign = value.sign == .minus ? "-" : ""
    var digits: [UInt8] = []
    var exponent = -1
    var hasPoint = false
    var isBehindZeros = false
    let parts = value.magnitude.description.utf8.split(separator: UInt8(ascii: "e"))
    for byte in parts[0] {
        if byte == UInt8(ascii: ".") {
            hasPoint = true
            continue
        }
        isBehindZeros = isBehindZeros || byte != UInt8(ascii: "0")
        if isBehindZeros { digits.append(byte) }
        if !hasPoint && isBehindZeros { exponent += 1 }
        if hasPoint && !isBehindZeros { exponent -= 1 }
    }
    if parts.count == 2 { exponent += Int(String(decoding: parts[1], as: UTF8.self)) ?? 0 }
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    if digits.isEmpty { return sign + "0" }

    let all = String(decoding: digits, as: UTF8.self)
    if exponent < -4 || exponent >= 21 {
        let point = digits.count > 1 ? "." : ""
        let zero = abs(exponent) < 10 ? "0" : ""
        let mark = exponent < 0 ? "-" : "+"
        return "\(sign)\(all.prefix(1))\(point)\(all.dropFirst())e\(mark)\(zero)\(abs(exponent))"
    }
    if exponent < 0 {
        return sign + "0." + String(repeating: "0", count: -1 - exponent) + all
    }
    if digits.count <= exponent + 1 {
        return sign + all + String(repeating: "0", count: exponent + 1 - digits.count)
    }
    return "\(sign)\(all.prefix(exponent + 1)).\(all.dropFirst(exponent + 1))"
}
