// SPDX-License-Identifier: Apache-2.0
// Memory for large, short-lived data: mapped from the kernel, and returned to it at once.
//
// malloc keeps freed memory in the arena of each thread that allocated. Responses of many
// megabytes, built on many threads, would stay in all of these. malloc also adjusts how it serves
// the whole process to the size of a freed mapping (mallopt(3), M_MMAP_THRESHOLD).

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Memory with at most one writer at a time; pages that were never written take no memory.
@safe package final class MappedMemory: @unchecked Sendable {
    // SAFETY: unchecked, because only its creator writes to it, and shares it afterwards.
    private(set) var base: UnsafeMutableRawPointer
    /// The size in bytes, in whole pages.
    package private(set) var capacity: Int

    /// Maps at least this many bytes; nil if memory is short.
    package init?(capacity: Int) {
        let size = Self.pages(for: max(capacity, 1))
        guard let base = unsafe Self.map(size) else { return nil }
        unsafe self.base = base
        self.capacity = size
    }

    deinit { unsafe munmap(base, capacity) }

    /// The bytes, for the writer.
    package var bytes: UnsafeMutableBufferPointer<UInt8> {
        unsafe UnsafeMutableBufferPointer(
            start: base.assumingMemoryBound(to: UInt8.self), count: capacity)
    }

    /// The first bytes, for readers.
    package func first(_ count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: min(count, capacity))
    }

    /// Grows to at least `size` bytes and keeps the first `count`; if it fails, nothing changes.
    package func grow(to size: Int, keeping count: Int) -> Bool {
        let size = Self.pages(for: size)
        guard size > capacity, let other = unsafe Self.map(size) else { return size <= capacity }
        unsafe other.copyMemory(from: base, byteCount: min(count, capacity))
        unsafe munmap(base, capacity)
        unsafe base = other
        capacity = size
        return true
    }

    /// Returns the pages beyond this size.
    package func shrink(to size: Int) {
        let size = Self.pages(for: max(size, 1))
        guard size < capacity, unsafe munmap(base + size, capacity - size) == 0 else { return }
        capacity = size
    }

    private static func pages(for size: Int) -> Int {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        // Clamps a size that would overflow.
        return (min(size, Int.max - page) + page - 1) / page * page
    }

    private static func map(_ size: Int) -> UnsafeMutableRawPointer? {
        let made = unsafe mmap(
            nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return unsafe made == MAP_FAILED ? nil : made
    }
}
