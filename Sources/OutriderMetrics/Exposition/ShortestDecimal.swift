// SPDX-License-Identifier: Apache-2.0
// Prints a double as the shortest decimal that reads back as the same double, and as the one
// closest to the true value where several are equally short.
//
// A scrape prints tens of thousands of samples, so the printer allocates nothing and calls no
// formatting library in the range that metrics live in. Whole numbers have a separate path.
// Everything else is the Schubfach algorithm (Raffaello Giulietti, "The Schubfach way to render
// doubles"), here in exact arithmetic, for which one table of 28 powers of five is enough.

/// Prints doubles in their shortest form.
package enum ShortestDecimal {
    /// Digits before the point up to which a number is written without an exponent.
    private static let plainDigits = 21

    /// The maximum number of bytes that `write` touches, which is more than it returns.
    package static let maximumLength = 32

    /// Writes `value` at `pointer` and returns the number of bytes written.
    ///
    /// Plain decimals for decimal exponents from -4 to 20 (`0.0001`, `100000000000000000000`),
    /// else with an exponent of two digits or more (`1e-05`, `1.5e+21`); `NaN`, `+Inf`, `-Inf`,
    /// `0`, `-0`. `pointer` has `maximumLength` writable bytes.
    ///
    /// Magnitudes outside 2^-130 ..< 2^238 (about 7.4e-40 to 4.4e71) take their digits from
    /// `Double.description`, which may allocate.
    package static func write(
        _ value: Double, to pointer: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let magnitude = value.magnitude
        if magnitude < 100_000_000 {
            let integer = Int32(magnitude)
            if Double(integer) == magnitude {
                let digits = eightDigits(UInt64(truncatingIfNeeded: integer))
                // The extra bit keeps the last digit, so that zero is one digit long.
                let zeros = (digits | 1 &<< 56).trailingZeroBitCount &>> 3
                let sign = Int(truncatingIfNeeded: value.bitPattern &>> 63)
                let text = (digits | eightZeros) &>> UInt64(truncatingIfNeeded: zeros &* 8)
                // SAFETY: The caller provides 32 bytes, this writes nine at most. Without a sign
                // the first digit replaces the "-".
                unsafe pointer.pointee = UInt8(ascii: "-")
                unsafe UnsafeMutableRawPointer(pointer)
                    .storeBytes(of: text.littleEndian, toByteOffset: sign, as: UInt64.self)
                return sign &+ 8 &- zeros
            }
        }
        // SAFETY: The pointer is handed on with the same promise.
        return unsafe writeGeneral(value, to: pointer)
    }

    /// Writes what is not a short whole number.
    @inline(never)
    private static func writeGeneral(
        _ value: Double, to pointer: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let magnitude = value.magnitude
        guard magnitude.isFinite else {
            let name: StaticString = value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf"
            // SAFETY: The names are ASCII literals, which have a pointer, and fit into 32 bytes.
            unsafe pointer.update(from: name.utf8Start, count: name.utf8CodeUnitCount)
            return name.utf8CodeUnitCount
        }
        let sign = Int(truncatingIfNeeded: value.bitPattern &>> 63)
        // SAFETY: The caller provides 32 bytes, which leaves `layOut` at least the 31 it asks
        // for. Without a sign the first digit replaces the "-".
        unsafe pointer.pointee = UInt8(ascii: "-")
        return unsafe sign
            &+ layOut(decimal(magnitude), to: pointer + sign)
    }

    // MARK: - Digits to bytes

    /// A number of 17 digits, one per byte, with zeros after the last significant digit.
    ///
    /// The 16 digits after the first start in the lowest byte of `rest`, and the exponent is that
    /// of the first digit.
    private typealias Decimal = (first: UInt8, rest: UInt128, exponent: Int)

    private static var eightZeros: UInt64 { 0x3030_3030_3030_3030 }
    private static var tenToThe16: UInt64 { 10_000_000_000_000_000 }

    /// Spreads a number below 10^8 over eight bytes, one digit each, the first in the lowest byte.
    ///
    /// Every step splits all lanes at once, into 4, 2 and then 1 digits. The reciprocals are exact
    /// for their lanes: x * 10486 >> 20 is x / 100 below 10^4, x * 103 >> 10 is x / 10 below 100.
    @inline(__always)
    private static func eightDigits(_ value: UInt64) -> UInt64 {
        let high = value / 10_000
        let fours = high | (value &- high &* 10_000) &<< 32
        let hundreds = (fours &* 10_486) &>> 20 & 0x0000_007f_0000_007f
        let twos = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = (twos &* 103) &>> 10 & 0x000f_000f_000f_000f
        return tens | (twos &- tens &* 10) &<< 8
    }

    /// Spreads two numbers below 10^8 over sixteen bytes, the first digit in the lowest byte.
    @inline(__always)
    private static func sixteenDigits(_ high: UInt64, _ low: UInt64) -> UInt128 {
        UInt128(eightDigits(high)) | UInt128(eightDigits(low)) &<< 64
    }

    /// Writes a decimal, touching no more than 31 bytes.
    @inline(__always)
    private static func layOut(
        _ decimal: Decimal, to pointer: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let exponent = decimal.exponent
        let count = 17 &- decimal.rest.leadingZeroBitCount &>> 3
        let text = decimal.rest | 0x3030_3030_3030_3030_3030_3030_3030_3030
        let first = decimal.first | UInt8(ascii: "0")
        let bytes = UnsafeMutableRawPointer(pointer)
        // SAFETY: The caller provides 31 bytes. The branches below touch 22, 28, 25 and 18.
        if exponent < 0 && exponent >= -4 {
            // "0.000000" starts with every prefix that is needed: -2 takes "0.0" of it.
            let zeros = 0x3030_3030_3030_2e30 as UInt64
            let prefix = 1 &- exponent
            unsafe bytes.storeBytes(of: zeros.littleEndian, as: UInt64.self)
            unsafe pointer[prefix] = first
            unsafe bytes.storeBytes(
                of: text.littleEndian, toByteOffset: prefix &+ 1, as: UInt128.self)
            return prefix &+ count
        }
        unsafe pointer[0] = first
        guard exponent >= 0 && exponent < plainDigits else {
            unsafe pointer[1] = UInt8(ascii: ".")
            unsafe bytes.storeBytes(of: text.littleEndian, toByteOffset: 2, as: UInt128.self)
            let length = count == 1 ? 1 : count &+ 1
            return unsafe length &+ writeExponent(exponent, to: pointer + length)
        }
        if count <= exponent &+ 1 {
            unsafe bytes.storeBytes(of: text.littleEndian, toByteOffset: 1, as: UInt128.self)
            unsafe bytes.storeBytes(of: eightZeros, toByteOffset: 17, as: UInt64.self)
            return exponent &+ 1
        }
        // The point goes in after `exponent` of the 16 digits and moves the last one out.
        let shift = UInt128(truncatingIfNeeded: exponent &* 8)
        let whole = text & ((1 &<< shift) &- 1)
        let split = whole | (text ^ whole) &<< 8 | 0x2e &<< shift
        unsafe bytes.storeBytes(of: split.littleEndian, toByteOffset: 1, as: UInt128.self)
        unsafe pointer[17] = UInt8(truncatingIfNeeded: text &>> 120)
        return count &+ 1
    }

    /// Writes `e`, the sign and at least two digits of an exponent below 1000.
    private static func writeExponent(
        _ exponent: Int, to pointer: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let length = exponent.magnitude < 100 ? 2 : 3
        let digits = eightDigits(UInt64(exponent.magnitude)) | eightZeros
        let text = digits &>> UInt64(truncatingIfNeeded: 64 &- length &* 8)
        // SAFETY: The caller provides the 10 bytes that are written here, 5 of them used.
        unsafe pointer[0] = UInt8(ascii: "e")
        unsafe pointer[1] = exponent < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+")
        unsafe UnsafeMutableRawPointer(pointer)
            .storeBytes(of: text.littleEndian, toByteOffset: 2, as: UInt64.self)
        return length &+ 2
    }

    // MARK: - Doubles to digits

    /// Exactly 17 digits, and the decimal exponent of the first.
    private typealias Digits = (digits: UInt64, exponent: Int)

    /// Returns the shortest decimal of a finite number that is not negative.
    @inline(__always)
    private static func decimal(_ magnitude: Double) -> Decimal {
        if magnitude < 0x1p53 {
            let signed = Int64(magnitude)
            if Double(signed) == magnitude {
                let integer = UInt64(truncatingIfNeeded: signed)
                let high = integer / 100_000_000
                let digits = sixteenDigits(high, integer &- high &* 100_000_000)
                let zeros = digits.trailingZeroBitCount &>> 3
                let aligned = digits &>> UInt128(truncatingIfNeeded: zeros &* 8)
                return (UInt8(truncatingIfNeeded: aligned), aligned &>> 8, 15 &- zeros)
            }
        }
        let bits = magnitude.bitPattern
        let exponent = Int(truncatingIfNeeded: bits &>> 52) &- 1075
        let decimal =
            exponent >= -182 && exponent <= 185
            ? shortest(bits & (1 &<< 52 &- 1) | 1 &<< 52, exponent)
            : shortestOfDescription(magnitude)
        let first = decimal.digits / tenToThe16
        let nine = decimal.digits / 100_000_000
        let last = decimal.digits &- nine &* 100_000_000
        let rest = sixteenDigits(nine &- first &* 100_000_000, last)
        return (UInt8(truncatingIfNeeded: first), rest, decimal.exponent)
    }

    /// Takes 17 digits from the description, which has an exponent wherever this is called.
    @inline(never)
    private static func shortestOfDescription(_ magnitude: Double) -> Digits {
        var digits: UInt64 = 0
        var exponent = 0
        var exponentSign = 0
        for byte in magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "."), UInt8(ascii: "+"): continue
            case UInt8(ascii: "e"): exponentSign = 1
            case UInt8(ascii: "-"): exponentSign = -1
            case _ where exponentSign == 0: digits = digits * 10 + UInt64(byte & 0x0f)
            default: exponent = exponent * 10 + Int(byte & 0x0f)
            }
        }
        while digits < tenToThe16 {
            digits *= 10
        }
        return (digits, exponent * exponentSign)
    }

    /// Finds the shortest decimal for c * 2^q, with 2^52 <= c < 2^53 and -182 <= q <= 185.
    ///
    /// Everything is measured in quarters of 10^k, so the numbers needed are x * 2^q / 10^k for a
    /// few integers x < 2^56. Each of the four ways to get one is exact but for dropping a
    /// fraction, and sets the lowest bit instead (rounding to odd), so that comparing the result
    /// with an even number gives the same answer as comparing the number itself.
    ///
    /// 2^q / 10^k is in 1 ..< 40/3, so the results are below 2^60. For k <= 0 they are products
    /// with 5^-k, which is shifted to the top of its word, and x to the left by the 1 to 4 bits
    /// that make the upper word the whole part. For k > 0 they are quotients by 5^k.
    @inline(__always)
    private static func shortest(_ c: UInt64, _ q: Int) -> Digits {
        // This is log10(2^q), or log10(3/4 * 2^q), rounded down and exact for these exponents.
        let k = (q &* 1_262_611 &- (c == 1 &<< 52 ? 524_031 : 0)) &>> 22
        if k <= 0 && k >= -27 {
            let five = fives[0 &- k]
            let factor = five &<< UInt64(truncatingIfNeeded: five.leadingZeroBitCount)
            let shift = UInt64(truncatingIfNeeded: q &- k &+ 64 &- five.leadingZeroBitCount)
            return choose(c, k) { x in
                let product = (x &<< shift).multipliedFullWidth(by: factor)
                return product.high | (product.low != 0 ? 1 : 0)
            }
        }
        if k > 0 && k <= 27 {
            let divisor = fives[k]
            return choose(c, k) { x in
                let dividend = UInt128(x) &<< UInt128(truncatingIfNeeded: q &- k)
                let high = UInt64(truncatingIfNeeded: dividend &>> 64)
                let low = UInt64(truncatingIfNeeded: dividend)
                let (quotient, remainder) = divisor.dividingFullWidth((high, low))
                return quotient | (remainder != 0 ? 1 : 0)
            }
        }
        return shortestOfExtreme(c, q, k)
    }

    /// Does the same with 5^|k| in two words, for numbers that are extreme for a metric.
    @inline(never)
    private static func shortestOfExtreme(_ c: UInt64, _ q: Int, _ k: Int) -> Digits {
        // |k| is in 28...55 here, 5^27 is the last power in the table, and 5^55 < 2^128.
        let n = abs(k)
        let five = UInt128(fives[27]) * UInt128(fives[min(n - 27, 27)]) * (n == 55 ? 5 : 1)
        if k < 0 {
            let factor = five << five.leadingZeroBitCount
            let shift = q - k + 128 - five.leadingZeroBitCount
            return choose(c, k) { x in
                let (high, low) = factor.multipliedFullWidth(by: UInt128(x) << shift)
                return UInt64(high) | (low != 0 ? 1 : 0)
            }
        }
        return choose(c, k) { x in
            let dividend = (high: UInt128(x) >> (128 - (q - k)), low: UInt128(x) << (q - k))
            let (quotient, remainder) = five.dividingFullWidth(dividend)
            return UInt64(quotient) | (remainder != 0 ? 1 : 0)
        }
    }

    /// Chooses among the decimals that read back as c * 2^q, which fill an interval around it.
    ///
    /// With k as the largest exponent where 10^k is no wider than the interval, the interval holds
    /// one or more multiples of 10^k, but at most one of 10^(k+1), and every shorter decimal is
    /// one of these. The bounds are (4c - 2) * 2^q and (4c + 2) * 2^q quarters, or 4c - 1 for a
    /// power of two, as the doubles below it lie closer. The result has 16 or 17 digits.
    @inline(__always)
    private static func choose(_ c: UInt64, _ k: Int, quarters: (UInt64) -> UInt64) -> Digits {
        let value = quarters(4 &* c)
        // The bounds themselves read back as this double only where c is even.
        let lower = quarters(4 &* c &- (c == 1 &<< 52 ? 1 : 2)) &+ c & 1
        let upper = quarters(4 &* c &+ 2) &- c & 1
        // The interval reaches at least 1/2 up and, but for powers of two, 1/2 down. So the
        // closest multiple of 10^k, the even one of two, is inside, or else the one above it is.
        let closest = (value &+ 1 &+ value &>> 2 & 1) &>> 2
        let inside = closest &* 4 < lower ? closest &+ 1 : closest
        let tens = value / 40 &* 10
        let upperTen = tens &* 4 &+ 40 <= upper ? tens &+ 10 : inside
        let result = lower <= tens &* 4 ? tens : upperTen
        let isShort = result < tenToThe16
        return (result &* (isShort ? 10 : 1), k &+ (isShort ? 15 : 16))
    }

    /// The powers of five that fit into a word.
    ///
    /// Plain literals, so that the compiler lays the table out in the binary and no access has to
    /// check whether it is initialised.
    private static let fives: InlineArray<28, UInt64> = [
        1, 5, 25, 125, 625, 3_125, 15_625, 78_125, 390_625, 1_953_125, 9_765_625, 48_828_125,
        244_140_625, 1_220_703_125, 6_103_515_625, 30_517_578_125, 152_587_890_625,
        762_939_453_125, 3_814_697_265_625, 19_073_486_328_125, 95_367_431_640_625,
        476_837_158_203_125, 2_384_185_791_015_625, 11_920_928_955_078_125, 59_604_644_775_390_625,
        298_023_223_876_953_125, 1_490_116_119_384_765_625, 7_450_580_596_923_828_125,
    ]
}
