// SPDX-License-Identifier: Apache-2.0
// The memory that scrapes are rendered into.

internal import OutriderThreading

/// Reuses memory between scrapes; thread-safe.
///
/// A small buffer is kept for the next scrape, so its pages are already allocated.
final class RenderMemory: Sendable {
    /// Sizes are multiples of this, so that a few more series do not need a new allocation.
    private static let step = 64 << 10

    private let kept = Guarded<MappedMemory?>(nil)

    /// Memory for at least this many bytes, which only the caller writes to; nil if there is none.
    func take(_ size: Int) -> MappedMemory? {
        let memory = kept.withLock { kept in
            defer { kept = nil }
            return kept
        }
        if let memory, memory.capacity >= size { return memory }
        return MappedMemory(capacity: (size + Self.step - 1) / Self.step * Self.step)
    }

    /// Keeps unused memory for reuse, unless it is large, since a response may then refer to it.
    func keep(_ memory: MappedMemory) {
        if memory.capacity <= BodyBytes.longestArray { kept.withLock { $0 = memory } }
    }
}
