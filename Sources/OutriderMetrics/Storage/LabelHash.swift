// SPDX-License-Identifier: Apache-2.0
// A hash of label values: short, fast, and different in each process.
//
// Sixteen bytes at a time are mixed with secret keys and folded by one 64 by 64 bit multiplication,
// as in Go's map hash and wyhash. It is not a cryptographic hash, but the keys are random, so that
// an outsider who chooses label values cannot choose colliding ones.

/// Hashes of label values.
enum LabelHash {
    /// The keys that make the hashes of each process different.
    typealias Keys = (UInt64, UInt64)

    // Generated once in a process, when the first family is created.
    static let keys: Keys = (.random(in: .min ... .max), .random(in: .min ... .max))

    /// A well-mixed 64-bit hash.
    static func of(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe of(bytes, keys, seed: 0)
    }

    /// A hash of several strings in their order.
    struct Sum {
        private let keys: Keys
        private var hash: UInt64 = 0

        init(_ keys: Keys) {
            self.keys = keys
        }

        @inline(__always)
        mutating func add(_ bytes: UnsafeBufferPointer<UInt8>) {
            unsafe hash = LabelHash.of(bytes, keys, seed: hash)
        }

        /// The hash in 30 bits.
        @inline(__always)
        var bits: UInt64 { hash >> 34 }
    }

    @inline(__always)
    private static func of(
        _ bytes: UnsafeBufferPointer<UInt8>, _ keys: Keys, seed: UInt64
    ) -> UInt64 {
        let (first, second) = keys
        let count = bytes.count
        var hash = first ^ seed
        guard let base = bytes.baseAddress else { return fold(hash, second) }
        let raw = unsafe UnsafeRawPointer(base)
        var index = 0
        // SAFETY: here and below, all loads are within the buffer.
        while index + 16 < count {
            let low = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let high = unsafe raw.loadUnaligned(fromByteOffset: index + 8, as: UInt64.self)
            hash = fold(low ^ second, high ^ hash)
            index += 16
        }
        // The remaining bytes, at most 16; the length distinguishes inputs with the same loads.
        var (low, high): (UInt64, UInt64) = (0, 0)
        let rest = count - index
        if rest >= 8 {
            low = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            high = unsafe raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else if rest >= 4 {
            low = UInt64(unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt32.self))
            high = UInt64(unsafe raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        } else if rest > 0 {
            low = UInt64(unsafe bytes[index]) | UInt64(unsafe bytes[index + rest / 2]) << 8
            high = UInt64(unsafe bytes[count - 1])
        }
        return fold(
            fold(low ^ second, high ^ hash), first ^ second ^ UInt64(truncatingIfNeeded: count))
    }

    /// A hash of a label and of pairs of strings, independent of the order of the pairs.
    static func of(_ label: String, _ pairs: [(String, String)], seed: UInt64) -> UInt64 {
        let keys = keys
        var sum: UInt64 = 0
        for (name, value) in pairs {
            sum &+= fold(of(name, keys) ^ keys.0, of(value, keys) ^ keys.1)
        }
        return fold((of(label, keys) &+ seed) ^ keys.0, sum ^ keys.1)
    }

    @inline(__always)
    private static func of(_ text: borrowing String, _ keys: (UInt64, UInt64)) -> UInt64 {
        unsafe text.utf8.span.withUnsafeBufferPointer { unsafe of($0, keys, seed: 0) }
    }

    private static func fold(_ first: UInt64, _ second: UInt64) -> UInt64 {
        let product = first.multipliedFullWidth(by: second)
        return product.high ^ product.low
    }
}
