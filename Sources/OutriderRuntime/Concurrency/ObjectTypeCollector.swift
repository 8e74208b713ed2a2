// SPDX-License-Identifier: Apache-2.0
// Allocations by Swift type, sampled where the runtime makes objects.

internal import COutriderRuntime
public import OutriderMetrics
internal import OutriderProfile
internal import OutriderThreading

/// Counts objects and their bytes by Swift type; thread-safe.
///
/// Estimated from a sample in every 512 KiB on average. The first 500 types have names; further ones are
/// `_OVERFLOW`. Contexts of closures, boxes and errors in boxes are named as such. Not seen is memory
/// that is no object (`UnsafeMutablePointer`, a library in C), and what the standard library allocates in
/// generic code of its own that was not specialised: the heap profiler sees that. Nothing is seen where
/// the Swift runtime is linked statically. All collectors of a process count together.
public struct ObjectTypeCollector: Collector {
    /// Mean bytes between two samples, if nothing else is said.
    public static let defaultInterval = 512 << 10

    private struct State: Sendable {
        var names: [UInt: String] = [:]
        /// Nil while it is off.
        var interval: UInt64?
    }

    private final class Box: Sendable {
        let state = Guarded(State())
    }

    private let box = Box()

    /// A collector; counting begins with ``start(interval:)``.
    public init() {}

    /// Starts counting, a sample in every `interval` bytes, 64 KiB at least.
    ///
    /// - Returns: nil if it does, or why it cannot.
    public func start(interval: Int = defaultInterval) -> String? {
        let interval = UInt64(max(0, interval))
        guard outrider_objects_start(interval) == OUTRIDER_HOOK_ON else {
            return "allocations cannot be seen: the Swift runtime is linked statically"
        }
        box.state.withLock { $0.interval = interval }
        return nil
    }

    /// Stops counting; the hook stays and does nothing but pass on.
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

    /// The two families.
    public var families: [CollectedFamily] { [Self.bytes, Self.objects] }

    /// Adds the estimates, and looks for files that were loaded since the last time.
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

    /// Types of the same name are one: a generic class that two files have made for themselves.
    private func sums() -> [String: (bytes: UInt64, objects: UInt64)] {
        let room = Int(OUTRIDER_OBJECT_TYPES) + 1
        let types = unsafe [outrider_object_type](unsafeUninitializedCapacity: room) {
            memory, filled in
            // SAFETY: the C side writes as many as the header says, for which there is room.
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
        // SAFETY: swift_allocObject was called with it: it is metadata, which is never freed, and begins
        // with its kind.
        let kind = unsafe pointer.load(as: UInt.self)
        if let name = HeapObjectKind.name(of: kind) { return name }
        guard HeapObjectKind.isClass(kind) else { return "kind 0x" + String(kind, radix: 16) }
        // SAFETY: the metadata of a class is what `Any.Type` of it points to.
        let type = unsafe unsafeBitCast(pointer, to: Any.Type.self)
        return TypeName.of(type, qualified: true)
    }
}
