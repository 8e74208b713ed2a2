// SPDX-License-Identifier: Apache-2.0
// The bytes of an answer: an array, or memory of their own if they are many.

/// What an answer sends; read by as many threads as want to.
package enum BodyBytes: Sendable {
    /// A few.
    case array([UInt8])
    /// The first bytes of memory that nobody writes to any more.
    case mapped(MappedMemory, count: Int)

    /// How many bytes may be in an array: as many as malloc has no mapping for either, by default.
    package static let longestArray = 128 << 10

    /// The first bytes of some memory: a copy of them, or the memory itself if they are many.
    ///
    /// Whoever goes on to use the memory must see to it that it is small: ``longestArray`` at most.
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

    /// How many there are.
    package var count: Int {
        switch self {
        case .array(let bytes): bytes.count
        case .mapped(_, let count): count
        }
    }

    /// How much memory they take.
    package var room: Int {
        switch self {
        case .array(let bytes): bytes.capacity
        case .mapped(let memory, _): memory.capacity
        }
    }

    /// The same in an array; a copy if they are many.
    package var array: [UInt8] {
        switch self {
        case .array(let bytes): bytes
        case .mapped(let memory, let count): Self.copy(of: memory, count)
        }
    }

    /// Calls `body` with the bytes, which are there until it returns.
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .array(let bytes): unsafe bytes.withUnsafeBytes { unsafe body($0) }
        case .mapped(let memory, let count):
            // SAFETY: the memory lives as long as this value holds it.
            withExtendedLifetime(memory) { unsafe body(memory.first(count)) }
        }
    }
}
