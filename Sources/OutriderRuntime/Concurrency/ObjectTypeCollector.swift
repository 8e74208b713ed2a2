// SPDX-License-Identifier: Apache-2.0
// Allocations by Swift type, sampled in the runtime's allocation of objects.

internal import COutriderRuntime
public import OutriderMetrics
internal import OutriderProfile
internal import OutriderThreading

/// Counts objects and their bytes by Swift type; thread-safe.
///
/// Estimated from one sample per 512 KiB on average. The first 500 types have names; further ones
/// are counted as `_OVERFLOW`. Closure contexts, boxes and boxed errors are named as such. Memory
/// that is not an object (`UnsafeMutablePointer`, a C library) is not counted, nor is what the
/// standard library allocates in its own unspecialised generic code; the heap profiler covers
/// those. Counts nothing if the Swift runtime is linked statically. All collectors of a process
/// share one count.
public struct ObjectTypeCollector: Collector {
    /// The default of the mean bytes between two samples.
    public static let defaultInterval = 512 << 10

    private struct State: Sendable {
        var names: [UInt: String] = [:]
        /// Nil while counting is off.
        var interval: UInt64?
    }

    private final class Box: Sendable {
        let state = Guarded(State())
    }

    private let box = Box()

    /// Creates a collector; counting starts with ``start(interval:)``.
    public init() {}

    /// Starts counting, with one sample per `interval` bytes, at least 64 KiB.
    ///
    /// - Returns: nil on success, otherwise why counting is not possible.
    public func start(interval: Int = defaultInterval) -> String? {
        let interval = UInt64(max(0, interval))
        guard outrider_objects_start(interval) == OUTRIDER_HOOK_ON else {
            return "the Swift runtime is linked statically, so allocations are not visible"
        }
        box.state.withLock { $0.interval = interval }
        return nil
    }

    /// Stops counting; the hook stays installed and only passes calls on.
    public func stop() {
        box.state.withLock { $0.interval = nil }
        outrider_objects_stop()
    }

    /// `object_types`.
    public var name: String { "object_types" }

    private static let bytes = CollectedFamily.counter(
        "swift_allocated_bytes_total", help: "Bytes of Swift objects allocated, estimated.",
        labels: ["type"])
    private static let objects = CollectedFamily.counter(
        "swift_allocated_objects_total", help: "Swift objects allocated, estimated.",
        labels: ["type"])

    /// All metric families.
    public var families: [CollectedFamily] { [Self.bytes, Self.objects] }

    /// Adds the estimates, and hooks files that were loaded since the last call.
    public func collect(into samples: inout CollectedSamples) {
        guard let interval = box.state.withLock({ $0.interval }),
            outrider_objects_start(interval) == OUTRIDER_HOOK_ON
        else { return }
        for (name, sum) in sums() {
            samples.add(Self.bytes, Double(sum.bytes), name)
            samples.add(
                Self.objects, Double(sum.objects) / Double(1 << OUTRIDER_OBJECT_SHIFT), name)
        }
    }

    /// Merges types with the same name: a generic class that two files have instantiated.
    private func sums() -> [String: (bytes: UInt64, objects: UInt64)] {
        let room = Int(OUTRIDER_OBJECT_TYPES) + 1
        let types = unsafe [outrider_object_type](unsafeUninitializedCapacity: room) {
            memory, filled in
            // SAFETY: the C function writes at most as many entries as its header says; the memory
            // holds that many.
            filled = unsafe outrider_objects_read(memory.baseAddress)
        }
        var sums: [String: (bytes: UInt64, objects: UInt64)] = [:]
        for type in types {
            let name = name(of: type.metadata)
            let before = sums[name] ?? (0, 0)
            sums[name] = (before.bytes &+ type.bytes, before.objects &+ type.objects)
        }
        return sums
    }

    private func name(of metadata: UInt) -> String {
        box.state.withLock { state in
            if let name = state.names[metadata] { return name }
            let name = Self.readName(of: metadata)
            state.names[metadata] = name
            return name
        }
    }

    private static func readName(of metadata: UInt) -> String {
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: metadata) else {
            return "_OVERFLOW"
        }
        // SAFETY: swift_allocObject was called with it, so it is metadata, which is never freed and
        // starts with its kind.
        let kind = unsafe pointer.load(as: UInt.self)
        if let name = HeapObjectKind.name(of: kind) { return name }
        guard HeapObjectKind.isClass(kind) else { return "kind 0x" + String(kind, radix: 16) }
        // SAFETY: an `Any.Type` of a class is a pointer to its metadata.
        let type = unsafe unsafeBitCast(pointer, to: Any.Type.self)
        return TypeName.of(type, qualified: true)
    }
}
