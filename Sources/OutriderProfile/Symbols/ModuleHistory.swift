// SPDX-License-Identifier: Apache-2.0
// What is loaded where, and what was: an address may be read long after its library has gone.

internal import COutriderSymbols
internal import OutriderThreading

/// The program or a library, as it is or was loaded.
package struct Module: Hashable, Sendable {
    /// Its file.
    package let path: String
    /// Its executable segment in memory.
    package let addresses: Range<UInt>
    /// All of its segments in memory.
    package let image: Range<UInt>
    /// What is added to the addresses of its file.
    package let bias: UInt
    /// Where that segment begins in the file.
    package let fileOffset: UInt64
    /// The GNU build id in hexadecimal digits; empty if it has none.
    package let buildID: String
    /// As the C side knows it, to read its symbols.
    private let place: ModulePlace

    /// The last part of its path.
    package var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    init?(_ module: outrider_module) {
        guard module.end > module.start, module.image_end > module.image_start else { return nil }
        path = Self.text(module)
        addresses = module.start..<module.end
        image = module.image_start..<module.image_end
        bias = module.bias
        fileOffset = module.file_offset
        buildID = Self.hexadecimal(module)
        place = ModulePlace(module)
    }

    /// A module of which nothing but this is known; for tests.
    package init(path: String, addresses: Range<UInt>) {
        self.path = path
        self.addresses = addresses
        image = addresses
        bias = addresses.lowerBound
        fileOffset = 0
        buildID = ""
        place = ModulePlace(outrider_module())
    }

    package static func == (left: Module, right: Module) -> Bool {
        left.addresses == right.addresses && left.path == right.path
            && left.buildID == right.buildID
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(addresses)
        hasher.combine(path)
    }

    /// Calls `body` with the module in the C side's form.
    func withPlace<Result>(_ body: (outrider_module) -> Result) -> Result { body(place.module) }

    private static func text(_ module: outrider_module) -> String {
        // SAFETY: the bytes are borrowed from a copy of the module.
        unsafe withUnsafeBytes(of: module.path) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static func hexadecimal(_ module: outrider_module) -> String {
        // SAFETY: as above.
        unsafe withUnsafeBytes(of: module.build_id) { bytes in
            unsafe bytes.prefix(Int(module.build_id_size)).map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
        }
    }
}

/// A reference, since the C side's form is over 1,000 bytes long.
private final class ModulePlace: Sendable {
    let module: outrider_module

    init(_ module: outrider_module) { self.module = module }
}

/// What is loaded in this process, and what was when somebody looked; thread-safe.
package final class ModuleHistory: Sendable {
    /// The one that every profile is named by.
    package static let shared = ModuleHistory()

    /// Modules that are remembered after they were unloaded.
    private static let limit = 256

    private struct State: Sendable {
        var generation: UInt64?
        var current: [Module] = []
        var former: [Module] = []
    }

    private let state = Guarded(State())
    private let generation: @Sendable () -> UInt64
    private let loaded: @Sendable () -> [Module]

    /// What is loaded in this process; or what a test says is.
    package init(
        generation: @escaping @Sendable () -> UInt64 = { outrider_modules_generation() },
        loaded: @escaping @Sendable () -> [Module] = { ModuleHistory.loadedModules() }
    ) {
        self.generation = generation
        self.loaded = loaded
    }

    /// Looks at what is loaded; a microsecond or two unless something has changed.
    ///
    /// A library that comes and goes between two looks is never seen. A heap profiler looks at each
    /// scrape and each profile.
    package func look() {
        let generation = self.generation()
        let known = state.withLock { $0 }
        guard known.generation != generation else { return }
        // Not under the lock, since a fork(2) of the host's waits while one is held.
        let loaded = self.loaded()
        // A library that comes and goes in one place is remembered once, and not while it is loaded.
        let present = Set(loaded)
        let gone = known.current.filter { !present.contains($0) }
        let before = Set(gone)
        let others = known.former.filter { !present.contains($0) && !before.contains($0) }
        let former = Array((gone + others).prefix(Self.limit))
        state.withLock { state in
            // Another look at the same time has found the same, or more.
            guard state.generation == known.generation else { return }
            state = State(generation: generation, current: loaded, former: former)
        }
    }

    /// The modules of this moment, the program first, then those that were.
    package var modules: [Module] {
        look()
        return state.withLock { $0.current + $0.former }
    }

    package static func loadedModules() -> [Module] {
        let count = outrider_modules_list(nil, 0)
        // A few more, should something be loaded meanwhile.
        let room = count + 16
        let list = unsafe [outrider_module](unsafeUninitializedCapacity: room) { memory, filled in
            // SAFETY: the C side writes as many as there is room for, and tells how many there are.
            filled = unsafe min(room, outrider_modules_list(memory.baseAddress, room))
        }
        return list.compactMap(Module.init)
    }
}
