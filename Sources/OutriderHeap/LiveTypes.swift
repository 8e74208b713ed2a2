// SPDX-License-Identifier: Apache-2.0
// The Swift types of live objects.
//
// An object that swift_allocObject made starts with a pointer to its metadata. But a sampled block
// may be half initialised or hold stale content, so its first word may be anything. Every pointer
// is read as memory that may be unmapped, and the runtime is called for the name only if all
// checked fields look like those of a class.
// Source: the Swift ABI, docs/ABI/TypeMetadata.md, and include/swift/ABI/Metadata.h (Linux has no
// Objective-C interoperation, so class metadata lacks the fields for it).

internal import COutriderHeap
internal import COutriderStack
internal import OutriderProfile
internal import OutriderThreading

/// Finds the types of sampled blocks; thread-safe.
final class LiveTypes: Sendable {
    /// Number of types whose names are cached; beyond that the cache is cleared.
    private static let limit = 20_000
    /// How many innermost frames may be the allocation of an object.
    private static let innermost = 4

    private struct Known: Sendable {
        /// The state of the loaded modules; another library's metadata may reuse the addresses of
        /// an unloaded one.
        var generation: UInt64 = 0
        var names: [UInt: String] = [:]
    }

    private let known = Guarded(Known())

    /// The types of live samples.
    struct Found {
        /// The types, without duplicates.
        var names: [String] = []
        /// The type of each sample, as an index into ``names``; -1 if it is unknown.
        var numbers: [Int32]
    }

    /// Finds the types of the samples, where possible.
    ///
    /// - Parameters:
    ///   - live: The samples.
    ///   - stacks: The stack of each site.
    ///   - table: The stacks.
    func types(of live: [outrider_heap_live], _ stacks: [Int32], _ table: SampleTable) -> Found {
        forgetUnloaded()
        let images = ModuleHistory.shared.modules.map(\.image)
        let isSiteOfObjects = Self.sitesOfObjects(live, stacks, table)
        var found = Found(numbers: [Int32](repeating: -1, count: live.count))
        var numbers: [String: Int32] = [:]
        for (index, sample) in live.enumerated()
        where sample.first_word != 0 && isSiteOfObjects.contains(sample.site) {
            guard let name = name(of: sample.first_word, size: sample.size, images) else {
                continue
            }
            let number = numbers[name] ?? Int32(found.names.count)
            if Int(number) == found.names.count { found.names.append(name) }
            numbers[name] = number
            found.numbers[index] = number
        }
        return found
    }

    private func forgetUnloaded() {
        let generation = ModuleHistory.unloads
        known.withLock { known in
            if known.generation != generation { known = Known(generation: generation) }
        }
    }

    /// The sites whose innermost frames are the runtime's allocation of an object.
    ///
    /// Sites with frames in an unloaded library are left out: other metadata may now be at the
    /// address of the object's metadata.
    private static func sitesOfObjects(
        _ live: [outrider_heap_live], _ stacks: [Int32], _ table: SampleTable
    ) -> Set<UInt32> {
        var sites = Set<UInt32>()
        for sample in live where Int(sample.site) < stacks.count { sites.insert(sample.site) }
        func addresses(_ site: UInt32) -> [UInt] {
            table.range(ofStack: Int(stacks[Int(site)])).map {
                table.addresses[Int(table.frames[$0])]
            }
        }
        var inner = Set<UInt>()
        for site in sites { inner.formUnion(addresses(site).prefix(innermost)) }
        let symbols = Symbolizer.shared.symbols(of: inner)
        let allocations = inner.filter {
            symbols[$0]?.mangledName?.contains("swift_allocObject") ?? false
        }
        return sites.filter { site in
            let stack = addresses(site)
            return stack.prefix(innermost).contains { allocations.contains($0) }
                && !stack.contains { $0 > ModuleHistory.firstMoved }
        }
    }

    private func name(of metadata: UInt, size: UInt64, _ images: [Range<UInt>]) -> String? {
        if let name = known.withLock({ $0.names[metadata] }) { return name }
        guard metadata % 8 == 0, let name = Self.read(metadata, size: size, images) else {
            return nil
        }
        known.withLock { known in
            if known.names.count >= Self.limit { known.names = [:] }
            known.names[metadata] = name
        }
        return name
    }

    /// Reads the type name at a word that may not be metadata.
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
            // The kind of the context descriptor: 16 is a class.
            flags & 0x1f == 16
        else { return nil }
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: metadata) else { return nil }
        // SAFETY: all fields checked above are those of class metadata, and metadata is never
        // freed.
        let type = unsafe unsafeBitCast(pointer, to: Any.Type.self)
        return TypeName.of(type, qualified: true)
    }

    /// The checked fields of class metadata (`TargetClassMetadata`): the instance size is at offset
    /// 24, the descriptor at 40.
    private static func classLayout(at metadata: UInt) -> (instanceSize: UInt64, descriptor: UInt)?
    {
        guard let sizes = word(at: metadata &+ 24), let descriptor = word(at: metadata &+ 40) else {
            return nil
        }
        return (UInt64(sizes & 0xffff_ffff), descriptor)
    }

    private static func word(at address: UInt) -> UInt? {
        var word: UInt = 0
        // SAFETY: reads memory that may be unmapped, by a system call, into a local word.
        let isThere = unsafe withUnsafeMutableBytes(of: &word) { bytes in
            unsafe outrider_stack_read_memory(address, bytes.baseAddress, bytes.count) != 0
        }
        return isThere ? word : nil
    }
}
