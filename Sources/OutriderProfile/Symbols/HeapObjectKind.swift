// SPDX-License-Identifier: Apache-2.0
// Kinds of heap objects without a type that the programmer named.
// Source: include/swift/ABI/MetadataKind.def of the Swift project.

/// The kinds of metadata of heap objects, other than classes.
package enum HeapObjectKind {
    private static let names: [UInt: String] = [
        0x400: "closure context or box", 0x500: "closure context or box", 0x501: "error box",
        0x502: "task",
    ]

    /// A description of objects with this kind of metadata; nil for classes and other kinds.
    package static func name(of kind: UInt) -> String? { names[kind] }

    /// Whether this is the kind of a class: 0, or a pointer, which is not a small number.
    package static func isClass(_ kind: UInt) -> Bool { kind == 0 || kind > 0x7ff }
}
