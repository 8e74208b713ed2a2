// SPDX-License-Identifier: Apache-2.0
// Heap objects that are of no type that a programmer has named.
// Source: include/swift/ABI/MetadataKind.def of the Swift project.

/// The kinds of metadata that heap objects have besides classes.
package enum HeapObjectKind {
    private static let names: [UInt: String] = [
        0x400: "closure context or box", 0x500: "closure context or box", 0x501: "error box",
        0x502: "task",
    ]

    /// What an object with metadata of this kind is; nil for classes and for what is no such kind.
    package static func name(of kind: UInt) -> String? { names[kind] }

    /// Whether this is the kind of a class: 0, or a pointer in its place, which is no small number.
    package static func isClass(_ kind: UInt) -> Bool { kind == 0 || kind > 0x7ff }
}
