// SPDX-License-Identifier: Apache-2.0
// The bytes of a response: an array, or a separate mapping if there are many.

/// The body of a response; any number of threads may read it.
package enum BodyBytes: Sendable {
    /// A short body.
    case array([UInt8])
    /// The first bytes of memory that is no longer written.
    case mapped(MappedMemory, count: Int)

    /// The longest array; larger sizes get their own mapping from malloc by default.
    package static let longestArray = 128 << 10

    /// The first bytes of some memory: a copy of them, or the memory itself if they are many.
    ///
    /// The memory may be reused afterwards only if `count` is at most ``longestArray``.
    package init(_ memory: MappedMemory, count: Int) {
        if count > Self.longestArray {
            memory.shrink(to: count)
            self = .mapped(memory, count: count)
        } else {
            self = .array(Self.copy(of: memory, count))
        }
    }

    private static func copy(of memory: MappedMemory, _ count: Int) -> [UInt8] {
        // Without capacity it would write to the storage that all empty arrays share.
        if count == 0 { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { bytes, written in
            unsafe UnsafeMutableRawBufferPointer(bytes).copyMemory(from: memory.first(count))
            written = count
        }
    }

    /// The number of bytes.
    package var count: Int {
        switch self {
        case .array(let bytes): bytes.count
        case .mapped(_, let count): count
        }
    }

    /// The memory that they take, in bytes.
    package var room: Int {
        switch self {
        case .array(let bytes): bytes.capacity
        case .mapped(let memory, _): memory.capacity
        }
    }

    /// The bytes in an array; a copy if they are in a mapping.
    package var array: [UInt8] {
        switch self {
        case .array(let bytes): bytes
        case .mapped(let memory, let count): Self.copy(of: memory, count)
        }
    }

    /// Calls `body` with the bytes, which stay valid until it returns.
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .array(let bytes): unsafe bytes.withUnsafeBytes { unsafe body($0) }
        case .mapped(let memory, let count):
            // SAFETY: the memory lives as long as this value holds it.
            withExtendedLifetime(memory) { unsafe body(memory.first(count)) }
        }
    }
}
