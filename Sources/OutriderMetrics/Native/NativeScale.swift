// SPDX-License-Identifier: Apache-2.0
// The mapping from observations to native buckets.
//
// A schema s > 0 has 2^s buckets for each doubling. The exponent of a double selects the doubling,
// and its mantissa the bucket within: the first s + 1 bits of the mantissa narrow it down to two
// buckets, and one comparison with their bound decides. A schema s <= 0 has 2^-s doublings for each
// bucket, so the exponent is enough.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The bounds of one schema, in tables that are never freed.
@safe struct NativeScale: @unchecked Sendable {
    // SAFETY (of `@unchecked`): written once, before they are shared, and never freed.
    let schema: Int
    /// For each prefix of a mantissa, the number of bounds below all mantissas with that prefix.
    private let below: UnsafePointer<UInt16>
    /// The mantissas of the bounds from 0.5 to below 1, and `UInt64.max` as a sentinel.
    private let mantissas: UnsafePointer<UInt64>

    private static let coarsest = -4
    private static let mantissaBits: UInt64 = 52

    private static let all = (coarsest...8).map(NativeScale.init)

    /// The scale of a schema from -4 to 8.
    static func of(_ schema: Int) -> NativeScale {
        all[min(max(schema - coarsest, 0), all.count - 1)]
    }

    private init(_ schema: Int) {
        self.schema = schema
        let count = 1 << max(0, schema)
        let bounds = UnsafeMutablePointer<UInt64>.allocate(capacity: count + 1)
        for index in 0..<count {
            let bound = exp2(Double(index) / Double(count)) / 2
            unsafe bounds[index] = bound.bitPattern & ((1 << Self.mantissaBits) - 1)
        }
        unsafe bounds[count] = .max
        let table = UnsafeMutablePointer<UInt16>.allocate(capacity: count * 2)
        for index in 0..<count * 2 {
            let start = UInt64(index) << (Self.mantissaBits - UInt64(max(0, schema) + 1))
            var number = 0
            while unsafe bounds[number] < start { number += 1 }
            unsafe table[index] = UInt16(number)
        }
        unsafe below = UnsafePointer(table)
        unsafe mantissas = UnsafePointer(bounds)
    }

    /// The bucket of a positive number: the first whose upper bound is not below it.
    @inline(__always)
    func index(of magnitude: Double) -> Int {
        let bits = magnitude.bitPattern
        // As in frexp(3): a fraction between 0.5 and 1, times a power of two.
        let exponent = Int(truncatingIfNeeded: bits >> Self.mantissaBits) - 1_022
        let mantissa = bits & ((1 << Self.mantissaBits) - 1)
        // The exponent bits of a subnormal number are zero.
        if exponent == -1_022 { return indexOfSubnormal(magnitude) }
        return index(exponent, mantissa)
    }

    @inline(__always)
    private func index(_ exponent: Int, _ mantissa: UInt64) -> Int {
        if schema > 0 {
            let shift = Self.mantissaBits - UInt64(truncatingIfNeeded: schema + 1)
            // SAFETY: the mantissa has 52 bits, so its first bits are an index of the table.
            let number = unsafe Int(below[Int(truncatingIfNeeded: mantissa >> shift)])
            let isAbove = unsafe mantissas[number] < mantissa
            return number + (isAbove ? 1 : 0) + ((exponent - 1) << schema)
        }
        let key = mantissa == 0 ? exponent - 1 : exponent
        return (key + (1 << -schema) - 1) >> -schema
    }

    @inline(never)
    private func indexOfSubnormal(_ magnitude: Double) -> Int {
        let bits = (magnitude * 0x1p64).bitPattern
        return index(
            Int(truncatingIfNeeded: bits >> Self.mantissaBits) - 1_022 - 64,
            bits & ((1 << Self.mantissaBits) - 1))
    }

    /// The upper bound of a bucket.
    func upperBound(of index: Int) -> Double {
        if schema <= 0 { return scalbn(1, Int32(clamping: index << -schema)) }
        // SAFETY: there is a mantissa for each bound of a doubling.
        let mantissa = unsafe mantissas[index & ((1 << schema) - 1)]
        let fraction = Double(bitPattern: 1_022 << Self.mantissaBits | mantissa)
        return scalbn(fraction, Int32(clamping: (index >> schema) + 1))
    }

    /// The scale with buckets twice as wide; the coarsest scale returns itself.
    var coarser: NativeScale { Self.of(schema - 1) }

    /// Whether no scale is coarser.
    var isCoarsest: Bool { schema == Self.coarsest }

    /// The bucket of another scale, not finer than this one, that contains a bucket of this scale.
    func index(_ index: Int, in other: NativeScale) -> Int {
        let steps = schema - other.schema
        return steps <= 0 ? index : ((index - 1) >> steps) + 1
    }
}
