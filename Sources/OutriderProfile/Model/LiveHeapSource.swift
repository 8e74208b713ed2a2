// SPDX-License-Identifier: Apache-2.0
// Who knows how much of the heap is in use.

/// A source of profiles that can tell how much of the heap is in use.
///
/// An agent that has one parts resident memory by it (`process_memory_part_bytes`).
public protocol LiveHeapSource: Sendable {
    /// Bytes in blocks that were allocated and not freed, by an estimate; nil while there is none.
    var liveHeapBytes: Int? { get }
}
