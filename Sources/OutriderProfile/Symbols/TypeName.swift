// SPDX-License-Identifier: Apache-2.0
// Names of types, bounded in time, memory and length.
//
// The runtime spells out a generic type in full and never frees the text: a type that doubles
// itself 20 times, which takes only a few lines of code, has a name of 20 MB, and one nested a
// thousand times needs more stack than a thread of a pool has. So the parts of a type are counted
// first, in its metadata. A type with too many parts gets only the name of its declaration:
// `Shop.Both<…>`.
// Source: the Swift ABI, docs/ABI/TypeMetadata.md, and include/swift/ABI/Metadata.h of the Swift
// project.

/// Names of types.
package enum TypeName {
    /// Longest name, in bytes.
    private static let longest = 2_048

    /// The name of a type as in source code, with or without its module and enclosing types.
    ///
    /// Takes microseconds and little stack; at most 2 KiB long. Thread-safe.
    package static func of(_ type: Any.Type, qualified: Bool) -> String {
        var parts = TypeParts()
        guard parts.count(type) else {
            return parts.declaration(type, qualified: qualified).map { "\($0)<…>" }
                ?? "(a large type)"
        }
        let name = _typeName(type, qualified: qualified)
        return name.utf8.count <= longest ? name : String(name.utf8Prefix(longest)) + "…"
    }
}

extension String {
    /// The prefix of a text of at most `most` bytes, without cutting a character in two.
    package func utf8Prefix(_ most: Int) -> Substring {
        guard utf8.count > most else { return self[...] }
        var end = utf8.index(utf8.startIndex, offsetBy: most)
        while end > startIndex, end.samePosition(in: unicodeScalars) == nil {
            end = utf8.index(before: end)
        }
        return self[..<end]
    }
}

/// Counts the types that a type consists of, up to a limit.
private struct TypeParts {
    private static let most = 256
    private static let deepest = 32

    private var left = Self.most

    private enum Kind {
        static let classes: UInt = 0
        static let values: ClosedRange<UInt> = 0x200...0x202
        static let leaves: Set<UInt> = [0x203, 0x204, 0x300]
        static let tuple: UInt = 0x301
        static let function: UInt = 0x302
        static let existential: UInt = 0x303
        static let metatypes: Set<UInt> = [0x304, 0x306]
    }

    /// Returns false if there are too many parts, or some that are not supported.
    mutating func count(_ type: Any.Type) -> Bool {
        // SAFETY: a type is a pointer to its metadata, which is never freed.
        unsafe count(unsafeBitCast(type, to: UnsafeRawPointer.self), depth: 0)
    }

    /// SAFETY, for all reads below: the runtime reads the same words to write the name.
    private mutating func count(_ metadata: UnsafeRawPointer, depth: Int) -> Bool {
        left -= 1
        guard left > 0, depth < Self.deepest else { return false }
        let kind = unsafe metadata.load(as: UInt.self)
        switch kind {
        case Kind.classes: return unsafe countArguments(ofClass: metadata, depth)
        case Kind.values:
            let descriptor = unsafe metadata.load(fromByteOffset: 8, as: UnsafeRawPointer.self)
            return unsafe countArguments(at: metadata + 16, descriptor, header: 28, depth)
        case _ where Kind.leaves.contains(kind): return true
        case Kind.tuple:
            let elements = unsafe metadata.load(fromByteOffset: 8, as: Int.self)
            return unsafe countTypes(at: metadata + 24, elements, stride: 16, depth)
        case Kind.function:
            let flags = unsafe metadata.load(fromByteOffset: 8, as: UInt.self)
            // Actors and error types follow the parameters.
            guard flags & 0xf000_0000 == 0 else { return false }
            return unsafe countTypes(at: metadata + 16, Int(flags & 0xffff) + 1, stride: 8, depth)
        case Kind.existential:
            let flags = unsafe metadata.load(fromByteOffset: 8, as: UInt32.self)
            let protocols = unsafe metadata.load(fromByteOffset: 12, as: UInt32.self)
            left -= Int(protocols)
            // Types with a superclass constraint are not supported.
            return flags & 0x4000_0000 == 0
        case _ where Kind.metatypes.contains(kind):
            return unsafe countTypes(at: metadata + 8, 1, stride: 8, depth)
        default: return false
        }
    }

    private mutating func countTypes(
        at pointer: UnsafeRawPointer, _ types: Int, stride: Int, _ depth: Int
    ) -> Bool {
        for number in 0..<max(0, types) {
            let type = unsafe pointer.load(
                fromByteOffset: number * stride, as: UnsafeRawPointer.self)
            guard unsafe count(type, depth: depth + 1) else { return false }
        }
        return true
    }

    private mutating func countArguments(ofClass metadata: UnsafeRawPointer, _ depth: Int) -> Bool {
        guard
            let descriptor = unsafe metadata.load(
                fromByteOffset: 40, as: UnsafeRawPointer?.self)
        else { return false }
        let flags = unsafe descriptor.load(as: UInt32.self)
        let negativeWords = unsafe descriptor.load(fromByteOffset: 24, as: UInt32.self)
        let positiveWords = unsafe descriptor.load(fromByteOffset: 28, as: UInt32.self)
        let members = unsafe descriptor.load(fromByteOffset: 32, as: UInt32.self)
        let offset: Int
        if flags & 1 << 29 != 0 {
            // After the members of a superclass from another library: its bounds are computed at
            // run time.
            let bounds = unsafe relative(descriptor, 24)
            offset = unsafe bounds?.load(as: Int.self) ?? 0
        } else if flags & 1 << 28 != 0 {
            offset = -8 * Int(negativeWords)
        } else {
            offset = 8 * (Int(positiveWords) - Int(members))
        }
        return unsafe countArguments(at: metadata + offset, descriptor, header: 44, depth)
    }

    /// The arguments of a declaration: types first, then their conformances.
    private mutating func countArguments(
        at pointer: UnsafeRawPointer, _ descriptor: UnsafeRawPointer, header: Int, _ depth: Int
    ) -> Bool {
        guard unsafe descriptor.load(as: UInt32.self) & 0x80 != 0 else { return true }
        // After the cache and the pattern: parameters, requirements, arguments, flags.
        let generics = unsafe descriptor + header + 8
        let parameters = Int(unsafe generics.load(as: UInt16.self))
        // Parameter packs are not supported.
        guard unsafe generics.load(fromByteOffset: 6, as: UInt16.self) & 1 == 0 else {
            return false
        }
        var argument = 0
        for number in 0..<parameters {
            let parameter = unsafe generics.load(fromByteOffset: 8 + number, as: UInt8.self)
            // Parameters that follow from others are not passed as arguments.
            guard parameter & 0x80 != 0 else { continue }
            if parameter & 0x3f == 0 {
                guard unsafe countTypes(at: pointer + 8 * argument, 1, stride: 8, depth) else {
                    return false
                }
            }
            argument += 1
        }
        return true
    }

    // MARK: - Declarations

    /// The name of a type's declaration; nil unless it is a class, structure or enumeration.
    func declaration(_ type: Any.Type, qualified: Bool) -> String? {
        // SAFETY: as above.
        let metadata = unsafe unsafeBitCast(type, to: UnsafeRawPointer.self)
        let kind = unsafe metadata.load(as: UInt.self)
        guard kind == Kind.classes || Kind.values.contains(kind) else { return nil }
        var context = unsafe metadata.load(
            fromByteOffset: kind == Kind.classes ? 40 : 8, as: UnsafeRawPointer?.self)
        var names: [String] = []
        for _ in 0..<Self.deepest {
            guard let descriptor = unsafe context else { break }
            // A module, a class, a structure or an enumeration; other contexts do not have a name.
            let isNamed = [0, 16, 17, 18].contains(unsafe descriptor.load(as: UInt32.self) & 0x1f)
            if isNamed, let name = unsafe relative(descriptor, 8) {
                names.append(unsafe String(cString: name.assumingMemoryBound(to: CChar.self)))
            }
            if !qualified { break }
            unsafe context = unsafe relative(descriptor, 4)
        }
        return names.isEmpty ? nil : String(names.reversed().joined(separator: ".").utf8Prefix(512))
    }

    /// The target of a relative pointer in a descriptor; with the lowest bit set, it is indirect.
    private func relative(_ descriptor: UnsafeRawPointer, _ offset: Int) -> UnsafeRawPointer? {
        let distance = Int(unsafe descriptor.load(fromByteOffset: offset, as: Int32.self))
        guard distance != 0 else { return nil }
        let target = unsafe descriptor + offset + distance
        guard distance & 1 != 0 else { return unsafe target }
        return unsafe (target - 1).load(as: UnsafeRawPointer?.self)
    }
}
