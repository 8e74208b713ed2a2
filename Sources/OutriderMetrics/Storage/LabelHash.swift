// SPDX-License-Identifier: Apache-2.0
// A hash of rendered labels: short, quick, and different in each process.
//
// Sixteen bytes at a time are mixed with secret keys and folded by one 64 by 64 bit multiplication,
// a step that Go's map hash and wyhash take too. It is no cryptographic hash; the keys are random,
// so that whoever chooses label values from outside cannot choose ones that collide.

/// Hashes of label blocks.
enum LabelHash {
    // Drawn once in a process, when the first family is made.
    private static let keys: (UInt64, UInt64) = (
        .random(in: .min ... .max), .random(in: .min ... .max)
    )

    /// 64 well mixed bits.
    static func of(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe of(bytes, keys)
    }

    @inline(__always)
    private static func of(
        _ bytes: UnsafeBufferPointer<UInt8>, _ keys: (UInt64, UInt64)
    ) -> UInt64 {
        let (first, second) = keys
        var hash = first ^ UInt64(truncatingIfNeeded: bytes.count)
        guard let base = bytes.baseAddress else { return fold(hash, second) }
        let raw = unsafe UnsafeRawPointer(base)
        var index = 0
        while index + 16 <= bytes.count {
            // SAFETY: the sixteen bytes lie within the buffer.
            let low = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let high = unsafe raw.loadUnaligned(fromByteOffset: index + 8, as: UInt64.self)
            hash = fold(low ^ second, high ^ hash)
            index += 16
        }
        var (low, high): (UInt64, UInt64) = (0, 0)
        if index + 8 <= bytes.count {
            low = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < bytes.count {
            high = unsafe high << 8 | UInt64(bytes[index])
            index += 1
        }
        return fold(fold(low ^ second, high ^ hash), first ^ second)
    }

    /// A hash of a label and of pairs of texts, the same for each order of the pairs.
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
        unsafe text.utf8.span.withUnsafeBufferPointer { unsafe of($0, keys) }
    }

    private static func fold(_ first: UInt64, _ second: UInt64) -> UInt64 {
        let product = first.multipliedFullWidth(by: second)
        return product.high ^ product.low
    }
}
