// SPDX-License-Identifier: Apache-2.0
// A source of the size of the live heap.

/// A source of profiles that can also report how much of the heap is in use.
///
/// An agent with such a source uses it to divide resident memory into parts
/// (`process_memory_part_bytes`).
public protocol LiveHeapSource: Sendable {
    /// Estimated bytes in blocks allocated and not freed; nil if there is no estimate.
    var liveHeapBytes: Int? { get }
}
