// SPDX-License-Identifier: Apache-2.0
// The Swift types of live objects.
//
// An object that swift_allocObject made begins with a pointer to its metadata. But a sampled block may be
// half built, or hold what was there before, so its first word may be anything. Nothing is followed that has
// not been read as memory that may be gone, and nothing is believed that does not look like a class in all
// its parts: only then is the runtime asked for the name.
// Source: the Swift ABI, docs/ABI/TypeMetadata.md, and include/swift/ABI/Metadata.h (Linux has no
// Objective-C interoperation, so class metadata lacks the fields for it).

internal import COutriderHeap
internal import COutriderStack
internal import OutriderProfile
internal import OutriderThreading

/// Finds the types of sampled blocks; thread-safe.
final class LiveTypes: Sendable {
    /// Types whose names are kept; past that all are let go of.
    private static let limit = 20_000
    /// The innermost frames that may be the allocation of an object.
    private static let innermost = 4

    private let known = Guarded<[UInt: String]>([:])

    /// The types of those samples of which they can be told, by address.
    func names(of live: [outrider_heap_live], _ stacks: [UInt32: [UInt]]) -> [UInt: String] {
        let images = ModuleHistory.shared.modules.map(\.image)
        let sites = Self.sitesOfObjects(stacks, used: Set(live.map(\.site)))
        var names: [UInt: String] = [:]
        for sample in live where sites.contains(sample.site) && sample.first_word != 0 {
            if let name = name(of: sample.first_word, size: sample.size, images) {
                names[sample.address] = name
            }
        }
        return names
    }

    /// The sites whose innermost frames are the runtime's allocation of an object.
    private static func sitesOfObjects(
        _ stacks: [UInt32: [UInt]], used: Set<UInt32>
    ) -> Set<UInt32> {
        let inner = used.reduce(into: [UInt32: ArraySlice<UInt>]()) { inner, site in
            inner[site] = stacks[site]?.prefix(innermost)
        }
        let symbols = Symbolizer.shared.symbols(of: Set(inner.values.joined()))
        return Set(
            inner.filter { _, stack in
                stack.contains { address in
                    symbols.frames[address]?.mangledName?.contains("swift_allocObject") ?? false
                }
            }.keys)
    }

    private func name(of metadata: UInt, size: UInt64, _ images: [Range<UInt>]) -> String? {
        if let name = known.withLock({ $0[metadata] }) { return name }
        guard metadata % 8 == 0, let name = Self.read(metadata, size: size, images) else {
            return nil
        }
        known.withLock { known in
            if known.count >= Self.limit { known = [:] }
            known[metadata] = name
        }
        return name
    }

    /// Reads metadata that may be none.
    private static func read(_ metadata: UInt, size: UInt64, _ images: [Range<UInt>]) -> String? {
        func isInImage(_ address: UInt) -> Bool { images.contains { $0.contains(address) } }
        guard let kind = word(at: metadata) else { return nil }
        if let name = HeapObjectKind.name(of: kind) { return isInImage(metadata) ? name : nil }
        guard HeapObjectKind.isClass(kind), let layout = classLayout(at: metadata) else {
            return nil
        }
        guard layout.instanceSize >= 16, layout.instanceSize <= size,
            layout.descriptor % 4 == 0, isInImage(layout.descriptor),
            let flags = word(at: layout.descriptor),
            // The kind of a context descriptor: 16 is a class.
            flags & 0x1f == 16
        else { return nil }
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: metadata) else { return nil }
        // SAFETY: this is the metadata of a class in all that was checked, and metadata is never freed.
        let type = unsafe unsafeBitCast(pointer, to: Any.Type.self)
        return TypeName.of(type, qualified: true)
    }

    /// What is looked at of a class' metadata (`TargetClassMetadata`): the instance size lies at
    /// offset 24, the descriptor at 40.
    private static func classLayout(at metadata: UInt) -> (instanceSize: UInt64, descriptor: UInt)?
    {
        guard let sizes = word(at: metadata &+ 24), let descriptor = word(at: metadata &+ 40) else {
            return nil
        }
        return (UInt64(sizes & 0xffff_ffff), descriptor)
    }

    private static func word(at address: UInt) -> UInt? {
        var word: UInt = 0
        // SAFETY: reads memory that may not be there, by a system call, into a word of ours.
        let isThere = unsafe withUnsafeMutableBytes(of: &word) { bytes in
            unsafe outrider_stack_read_memory(address, bytes.baseAddress, bytes.count) != 0
        }
        return isThere ? word : nil
    }
}
