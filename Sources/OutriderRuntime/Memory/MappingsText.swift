// SPDX-License-Identifier: Apache-2.0
// A parser for `/proc/self/maps`, line by line (proc_pid_maps(5)).
//
// No imports, so that a fuzzer can be built from this file and KernelText.swift.

/// The use of a range of addresses, as far as the kernel reports it.
package enum MappingUse: Hashable, Sendable {
    /// A file: a program, a library, data; or the memory after its data (`.bss`).
    case file
    /// Shared memory.
    case shared
    /// The allocator's, by its address or name.
    case heap
    /// A thread's stack.
    case stack
    /// Unnamed anonymous memory.
    case anonymous
    /// The kernel's: vdso and the like.
    case kernel
    /// Device memory, or reserved huge pages: not resident in the kernel's sense.
    case device
}

/// A range of addresses.
package struct Mapping: Hashable, Sendable {
    /// Its first address.
    package let start: UInt
    /// Just past its last address.
    package let end: UInt
    /// Its use.
    package let use: MappingUse
    /// Whether the process may read or write it.
    package let isAccessible: Bool
}

/// Reads the lines of `/proc/self/maps` one by one.
package struct MappingsText {
    /// glibc allocates the memory of an arena in pieces of 64 MiB, aligned to that size.
    private static let arenaAlignment: UInt = 64 << 20
    /// A thread's stack has a guard of one page below it by default.
    private static let largestGuard: UInt = 64 << 10

    private struct Header {
        let start: UInt
        let end: UInt
        let isAccessible: Bool
        let hasFile: Bool
        let nameStart: Int
    }

    private var before: (header: Header, use: MappingUse)?

    /// Starts before the first line.
    package init() {}

    /// Parses the line at `line`, the next one of the file; nil if it does not match the man page
    /// or lies below the previous mapping.
    ///
    /// The kernel returns the file in pieces. If a mapping is merged with the previous one between
    /// two pieces, it is listed in full; the part already listed is left out here.
    package mutating func mapping(
        at line: Int, in text: borrowing Span<UInt8>
    ) -> Mapping? {
        guard KernelText.nextLine(line, in: text) != nil, let header = Self.header(line, text)
        else { return nil }
        let start = max(header.start, before?.header.end ?? 0)
        guard start < header.end else { return nil }
        let use = Self.use(of: header, after: before, text)
        before = (header, use)
        return Mapping(
            start: start, end: header.end, use: use, isAccessible: header.isAccessible)
    }

    /// `start-end perms offset device inode name`; nil if the line does not match.
    private static func header(_ line: Int, _ text: borrowing Span<UInt8>) -> Header? {
        guard let (start, dash) = hexadecimal(line, text), dash < text.count,
            text[dash] == UInt8(ascii: "-"), let (end, blank) = hexadecimal(dash + 1, text),
            start < end, blank + 5 < text.count, text[blank] == UInt8(ascii: " ")
        else { return nil }
        var field = blank + 1
        let isAccessible = text[field] == UInt8(ascii: "r") || text[field + 1] == UInt8(ascii: "w")
        for _ in 0..<3 {
            field = KernelText.skipBlanks(KernelText.fieldEnd(field, in: text), in: text)
        }
        guard let inode = KernelText.number(field, in: text) else { return nil }
        let name = KernelText.skipBlanks(KernelText.fieldEnd(field, in: text), in: text)
        return Header(
            start: start, end: end, isAccessible: isAccessible, hasFile: inode != 0, nameStart: name
        )
    }

    private static func hexadecimal(
        _ start: Int, _ text: borrowing Span<UInt8>
    ) -> (value: UInt, end: Int)? {
        var value: UInt = 0
        var position = start
        while position < text.count {
            let digit: UInt8
            switch text[position] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = text[position] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                digit = text[position] - UInt8(ascii: "a") + 10
            default: return position == start ? nil : (value, position)
            }
            guard value >> 60 == 0 else { return nil }
            value = value << 4 | UInt(digit)
            position += 1
        }
        return nil
    }

    private static func use(
        of header: Header, after before: (header: Header, use: MappingUse)?,
        _ text: borrowing Span<UInt8>
    ) -> MappingUse {
        func isNamed(_ name: StaticString, _ text: borrowing Span<UInt8>) -> Bool {
            KernelText.matches(name, at: header.nameStart, in: text)
        }
        if header.hasFile {
            let isShared =
                isNamed("/dev/shm/", text) || isNamed("/memfd:", text) || isNamed("/SYSV", text)
                || isNamed("/dev/zero", text)
            let isDevice = isNamed("/dev/", text) || isNamed("/anon_hugepage", text)
            return isShared ? .shared : isDevice ? .device : .file
        }
        if isNamed("[heap]", text) || isNamed("[anon:glibc: malloc", text) { return .heap }
        if isNamed("[stack]", text) || isNamed("[anon:glibc: pthread stack", text) { return .stack }
        if isNamed("[v", text) { return .kernel }
        guard let before, before.header.end == header.start else {
            return header.start % arenaAlignment == 0 ? .heap : .anonymous
        }
        // There is a guard below a stack. After a file's data comes memory that is not in the file.
        let guardSize = before.header.end - before.header.start
        if !before.header.isAccessible, !before.header.hasFile, guardSize <= largestGuard,
            header.isAccessible
        {
            return .stack
        }
        if before.use == .file, before.header.hasFile { return .file }
        return header.start % arenaAlignment == 0 ? .heap : .anonymous
    }
}
