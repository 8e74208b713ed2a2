// SPDX-License-Identifier: Apache-2.0
// Parsers for the files of control groups (cgroups(7), Documentation/admin-guide/cgroup-v2.rst).
//
// No imports, so that a fuzzer can be built from this file and KernelText.swift.

/// A line of `/proc/self/cgroup`: `hierarchy:controllers:path`.
package struct GroupMembership: Hashable, Sendable {
    /// The controllers of a version 1 hierarchy; empty for version 2.
    package let controllers: [String]
    /// The path of the group, from the root of its hierarchy or cgroup namespace.
    package let path: String

    /// Parses all lines; nil if one does not match the man page.
    package static func all(_ text: [UInt8]) -> [GroupMembership]? {
        guard text.last == UInt8(ascii: "\n") else { return nil }
        var memberships: [GroupMembership] = []
        for line in text.dropLast().split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        {
            let parts = line.split(
                separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let number = UInt32(String(decoding: parts[0], as: UTF8.self)),
                parts[2].first == UInt8(ascii: "/")
            else { return nil }
            let names = String(decoding: parts[1], as: UTF8.self).split(separator: ",").map(
                String.init)
            guard names.isEmpty == (number == 0) else { return nil }
            memberships.append(
                GroupMembership(controllers: names, path: String(decoding: parts[2], as: UTF8.self))
            )
        }
        return memberships
    }
}

/// A mount of a control group hierarchy, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
package struct GroupMount: Hashable, Sendable {
    /// The controllers of a version 1 hierarchy; nil for version 2.
    package let controllers: Set<String>?
    /// The group of the hierarchy that is mounted there.
    package let root: String
    /// The mount point.
    package let point: String

    /// Parses the lines of control group mounts and ignores others.
    package static func all(_ text: [UInt8]) -> [GroupMount] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " ")).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count >= dash + 4,
                let root = unescaped(fields[3]), let point = unescaped(fields[4])
            else { return nil }
            switch fields[dash + 1] {
            case "cgroup2": return GroupMount(controllers: nil, root: root, point: point)
            case "cgroup":
                let options = fields[dash + 3].split(separator: ",").map(String.init)
                return GroupMount(controllers: Set(options), root: root, point: point)
            default: return nil
            }
        }
    }

    /// Decodes blanks and other characters written as a backslash and three octal digits.
    private static func unescaped(_ field: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(3)
            guard digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else { return nil }
            bytes.append(code)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The directories of a group and its ancestors in this mount, the group's first; nil if the
    /// group is outside it.
    ///
    /// In a cgroup namespace, both paths start at its root. If only part of a hierarchy is mounted,
    /// as in a container without a namespace, the path of that part is removed as a prefix.
    package func directories(of path: String) -> [String]? {
        var inner = path
        if root != "/" {
            // A path from the root of a namespace that the mount does not know.
            let isInside = path == root || path.hasPrefix(root + "/")
            inner = isInside ? String(path.dropFirst(root.count)) : path == "/" ? "" : "\u{0}"
        }
        guard !inner.contains("\u{0}"), !inner.split(separator: "/").contains("..") else {
            return nil
        }
        var steps = inner.split(separator: "/").map(String.init)
        var directories: [String] = []
        while true {
            directories.append(([point] + steps).joined(separator: "/"))
            if steps.popLast() == nil { return directories }
        }
    }
}

/// Parsers for values in control group files.
package enum GroupText {
    /// A limit, or no limit.
    package enum Limit: Hashable, Sendable {
        case none
        case at(Int)
    }

    /// A file with one whole number and a line end.
    package static func number(_ text: borrowing Span<UInt8>) -> Int? {
        guard let value = KernelText.number(0, in: text),
            isLast(KernelText.fieldEnd(0, in: text), in: text)
        else { return nil }
        return value
    }

    /// A file with one whole number or `max`; in version 1, -1 or a value close to 2^63 means no
    /// limit.
    package static func limit(_ text: borrowing Span<UInt8>) -> Limit? {
        if isWhole("max\n", text) || isWhole("-1\n", text) { return Limit.none }
        guard let value = number(text) else { return nil }
        return value >= 1 << 62 ? Limit.none : .at(value)
    }

    /// `cpu.max`: a quota or `max`, and a period, in microseconds.
    package static func quota(_ text: borrowing Span<UInt8>) -> (quota: Limit, period: Int)? {
        let second = KernelText.skipBlanks(KernelText.fieldEnd(0, in: text), in: text)
        guard let period = KernelText.number(second, in: text), period > 0,
            isLast(KernelText.fieldEnd(second, in: text), in: text)
        else { return nil }
        if KernelText.matches("max ", at: 0, in: text) { return (.none, period) }
        guard let quota = KernelText.number(0, in: text) else { return nil }
        return (.at(quota), period)
    }

    /// The total of a line of a pressure file, in microseconds.
    package static func pressure(_ kind: StaticString, _ text: borrowing Span<UInt8>) -> Int? {
        guard var position = KernelText.line(kind, in: text) else { return nil }
        while true {
            position = KernelText.skipBlanks(position, in: text)
            let end = KernelText.fieldEnd(position, in: text)
            if end == position { return nil }
            if KernelText.matches("total=", at: position, in: text) {
                return KernelText.number(position + 6, in: text)
            }
            position = end
        }
    }

    /// Whether the final line end of the text is at this offset.
    private static func isLast(_ position: Int, in text: borrowing Span<UInt8>) -> Bool {
        position == text.count - 1 && text[position] == UInt8(ascii: "\n")
    }

    private static func isWhole(_ word: StaticString, _ text: borrowing Span<UInt8>) -> Bool {
        text.count == word.utf8CodeUnitCount && KernelText.matches(word, at: 0, in: text)
    }
}
