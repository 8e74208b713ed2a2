// SPDX-License-Identifier: Apache-2.0
// Which native bucket an observation falls into.
//
// A schema s > 0 has 2^s buckets to each doubling. The exponent of a double tells the doubling; its
// mantissa, the bucket within: its first s + 1 bits foretell it but for one bound, which is compared.
// A schema s <= 0 has 2^-s doublings to each bucket: the exponent is all there is to it.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The bounds of one schema; tables that live as long as the process.
@safe struct NativeScale: @unchecked Sendable {
    // SAFETY (of `@unchecked`): written once, before anybody sees them, and never freed.
    let schema: Int
    /// How many bounds have a mantissa below all that begin with the bits of this index.
    private let below: UnsafePointer<UInt16>
    /// The mantissas of the bounds from 0.5 to below 1, and one above all.
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

    /// The bucket of a positive number: the one whose upper bound is the first that is not below it.
    @inline(__always)
    func index(of magnitude: Double) -> Int {
        let bits = magnitude.bitPattern
        // As frexp(3) has it: between 0.5 and 1, times a power of two.
        let exponent = Int(truncatingIfNeeded: bits >> Self.mantissaBits) - 1_022
        let mantissa = bits & ((1 << Self.mantissaBits) - 1)
        // A number too small to have an exponent of its own.
        if exponent == -1_022 { return indexOfSubnormal(magnitude) }
        return index(exponent, mantissa)
    }

    @inline(__always)
    private func index(_ exponent: Int, _ mantissa: UInt64) -> Int {
        if schema > 0 {
            let shift = Self.mantissaBits - UInt64(truncatingIfNeeded: schema + 1)
            // SAFETY: the mantissa has 52 bits, so the first of them are an index of the table.
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
        // SAFETY: there is a mantissa for each part of a doubling.
        let mantissa = unsafe mantissas[index & ((1 << schema) - 1)]
        let fraction = Double(bitPattern: 1_022 << Self.mantissaBits | mantissa)
        return scalbn(fraction, Int32(clamping: (index >> schema) + 1))
    }

    /// The scale with buckets twice as wide; the coarsest is its own.
    var coarser: NativeScale { Self.of(schema - 1) }

    /// Whether no scale is coarser.
    var isCoarsest: Bool { schema == Self.coarsest }

    /// The bucket of another scale, no finer than this one, that a bucket of this one is part of.
    func index(_ index: Int, in other: NativeScale) -> Int {
        let steps = schema - other.schema
        return steps <= 0 ? index : ((index - 1) >> steps) + 1
    }
}
