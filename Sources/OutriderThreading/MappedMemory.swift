// SPDX-License-Identifier: Apache-2.0
// Memory for what is large and does not stay: the kernel gives it, and takes it back at once.
//
// malloc keeps what was freed for later, in an arena of each thread that asked for it. Answers of many megabytes, made
// on many threads, would stay in all of these; and malloc takes the size of what was freed for a hint how to serve
// the whole service from then on (mallopt(3), M_MMAP_THRESHOLD).

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Memory with one owner at a time that writes; pages that nobody has written to take no memory.
@safe package final class MappedMemory: @unchecked Sendable {
    // SAFETY: unchecked, since whoever makes one writes to it alone, and hands it on once it is written.
    private(set) var base: UnsafeMutableRawPointer
    /// How many bytes there is room for, in whole pages.
    package private(set) var capacity: Int

    /// Memory for so many bytes at least; nil if there is none.
    package init?(capacity: Int) {
        let size = Self.pages(for: max(capacity, 1))
        guard let base = unsafe Self.map(size) else { return nil }
        unsafe self.base = base
        self.capacity = size
    }

    deinit { unsafe munmap(base, capacity) }

    /// The bytes, for the one who writes.
    package var bytes: UnsafeMutableBufferPointer<UInt8> {
        unsafe UnsafeMutableBufferPointer(
            start: base.assumingMemoryBound(to: UInt8.self), count: capacity)
    }

    /// The first bytes of them, for whoever reads.
    package func first(_ count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: min(count, capacity))
    }

    /// Makes room for more, and keeps the first bytes; false if there is no memory: all is as before then.
    package func grow(to size: Int, keeping count: Int) -> Bool {
        let size = Self.pages(for: size)
        guard size > capacity, let other = unsafe Self.map(size) else { return size <= capacity }
        unsafe other.copyMemory(from: base, byteCount: min(count, capacity))
        unsafe munmap(base, capacity)
        unsafe base = other
        capacity = size
        return true
    }

    /// Gives back what lies past so many bytes.
    package func shrink(to size: Int) {
        let size = Self.pages(for: max(size, 1))
        guard size < capacity, unsafe munmap(base + size, capacity - size) == 0 else { return }
        capacity = size
    }

    private static func pages(for size: Int) -> Int {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        // More than there can be stays so, instead of overflowing.
        return (min(size, Int.max - page) + page - 1) / page * page
    }

    private static func map(_ size: Int) -> UnsafeMutableRawPointer? {
        let made = unsafe mmap(
            nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return unsafe made == MAP_FAILED ? nil : made
    }
}
