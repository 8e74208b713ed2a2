// SPDX-License-Identifier: Apache-2.0
// The memory that scrapes are printed into.

internal import OutriderThreading

/// Memory for the scrape that is being printed; thread-safe.
///
/// A small one is kept for the next scrape, which then finds its pages there.
final class PrintingMemory: Sendable {
    /// Sizes are multiples of this, so that a few series more do not take memory anew.
    private static let step = 64 << 10

    private let kept = Guarded<MappedMemory?>(nil)

    /// Memory for so many bytes at least, which nobody else writes to; nil if there is none.
    func take(_ size: Int) -> MappedMemory? {
        let memory = kept.withLock { kept in
            defer { kept = nil }
            return kept
        }
        if let memory, memory.capacity >= size { return memory }
        return MappedMemory(capacity: (size + Self.step - 1) / Self.step * Self.step)
    }

    /// Keeps memory that nobody uses any more, unless it is large: then an answer may have it.
    func keep(_ memory: MappedMemory) {
        if memory.capacity <= BodyBytes.longestArray { kept.withLock { $0 = memory } }
    }
}
