// SPDX-License-Identifier: Apache-2.0
// Loaded and unloaded modules: an address may be looked up long after its library was unloaded.

internal import COutriderSymbols
internal import OutriderThreading

/// An executable segment of a loaded or unloaded program or library.
package struct Module: Hashable, Sendable {
    /// The path of its file.
    package let path: String
    /// The executable segment in memory.
    package let addresses: Range<UInt>
    /// All segments of the file in memory.
    package let image: Range<UInt>
    /// Added to addresses in the file.
    package let bias: UInt
    /// Where the executable segment starts in the file.
    package let fileOffset: UInt64
    /// The GNU build id in hexadecimal digits; empty if there is none.
    package let buildID: String
    /// The C representation, for reading its symbols.
    private let box: ModuleBox

    /// The last component of its path.
    package var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    init?(_ module: outrider_module) {
        guard module.end > module.start, module.image_end > module.image_start else { return nil }
        path = Self.text(module)
        addresses = module.start..<module.end
        image = module.image_start..<module.image_end
        bias = module.bias
        fileOffset = module.file_offset
        buildID = Self.hexadecimal(module)
        box = ModuleBox(module)
    }

    /// Creates a module with only these properties, for tests.
    package init(path: String, addresses: Range<UInt>) {
        self.path = path
        self.addresses = addresses
        image = addresses
        bias = addresses.lowerBound
        fileOffset = 0
        buildID = ""
        box = ModuleBox(outrider_module())
    }

    package static func == (left: Module, right: Module) -> Bool {
        left.addresses == right.addresses && left.path == right.path
            && left.buildID == right.buildID
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(addresses)
        hasher.combine(path)
    }

    /// Calls `body` with the C representation of the module.
    func withCModule<Result>(_ body: (outrider_module) -> Result) -> Result { body(box.module) }

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

/// A reference, because the C representation is over 1,000 bytes long.
private final class ModuleBox: Sendable {
    let module: outrider_module

    init(_ module: outrider_module) { self.module = module }
}

/// The modules loaded in this process, now and at previous looks; thread-safe.
package final class ModuleHistory: Sendable {
    /// The instance used for all profiles.
    package static let shared = ModuleHistory()

    /// Maximum number of unloaded modules kept.
    private static let limit = 256

    private struct State: Sendable {
        var generation: UInt64?
        var current: [Module] = []
        var former: [Module] = []
        var moved: [Module] = []
    }

    private let state = Guarded(State())
    private let generation: @Sendable () -> UInt64
    private let loaded: @Sendable () -> [Module]
    private let moved: @Sendable () -> [Module]

    /// Creates a history of this process's modules; tests may pass their own.
    package init(
        generation: @escaping @Sendable () -> UInt64 = { ModuleHistory.currentGeneration },
        loaded: @escaping @Sendable () -> [Module] = { ModuleHistory.loadedModules() },
        moved: @escaping @Sendable () -> [Module] = { ModuleHistory.movedModules() }
    ) {
        self.generation = generation
        self.loaded = loaded
        self.moved = moved
    }

    /// The lowest address that addresses of unloaded libraries are moved to.
    package static var firstMoved: UInt { 1 << 63 }

    /// Number of libraries unloaded so far whose addresses were moved.
    package static var unloads: UInt64 { outrider_modules_moves() }

    /// Changes when a module is loaded, unloaded or moved.
    private static var currentGeneration: UInt64 {
        outrider_modules_generation() &+ outrider_modules_moves() &* 0x9e37_79b9_7f4a_7c15
    }

    /// Updates the list of modules; takes a microsecond or two unless something has changed.
    ///
    /// A library that is loaded and unloaded between two looks is missed. A heap profiler calls
    /// this at each scrape and each profile.
    package func update() {
        let generation = self.generation()
        let known = state.withLock { $0 }
        guard known.generation != generation else { return }
        // Not under the lock, because a fork(2) of the service waits for a held lock.
        let loaded = self.loaded()
        let moved = self.moved()
        // A library that is repeatedly loaded at the same address is kept once, and not while it is
        // loaded.
        let present = Set(loaded)
        let gone = known.current.filter { !present.contains($0) }
        let before = Set(gone)
        let others = known.former.filter { !present.contains($0) && !before.contains($0) }
        let former = Array((gone + others).prefix(Self.limit))
        state.withLock { state in
            // A concurrent look has found the same, or more.
            guard state.generation == known.generation else { return }
            state = State(generation: generation, current: loaded, former: former, moved: moved)
        }
    }

    /// The current modules, the program first, then unloaded ones: first at their former addresses,
    /// then at the addresses to which heap profilers have moved them.
    package var modules: [Module] { listing.modules }

    /// The same, with the range of unloaded modules at their former addresses: others may be loaded
    /// there now.
    var listing: (modules: [Module], former: Range<Int>) {
        update()
        let state = state.withLock { $0 }
        let former = state.current.count..<state.current.count + state.former.count
        return (state.current + state.former + state.moved, former)
    }

    package static func loadedModules() -> [Module] {
        // A few more, in case a library is loaded in between.
        unsafe list(outrider_modules_list(nil, 0) + 16) { unsafe outrider_modules_list($0, $1) }
    }

    package static func movedModules() -> [Module] {
        if outrider_modules_moves() == 0 { return [] }
        return unsafe list(Int(OUTRIDER_MODULES_FORMER_LIMIT)) {
            unsafe outrider_modules_unloaded($0, $1)
        }
    }

    private static func list(
        _ room: Int, _ fill: (UnsafeMutablePointer<outrider_module>?, Int) -> Int
    ) -> [Module] {
        let list = unsafe [outrider_module](unsafeUninitializedCapacity: room) { memory, filled in
            // SAFETY: the C function writes at most `room` modules, and returns how many there are.
            filled = unsafe min(room, fill(memory.baseAddress, room))
        }
        return list.compactMap(Module.init)
    }
}

extension Profile {
    /// The same profile, with the addresses of libraries unloaded since then replaced by the moved
    /// ones.
    func followingLibraries() -> Profile {
        let unloads = ModuleHistory.unloads
        if unloads == self.unloads { return self }
        var addresses = table.addresses
        unsafe addresses.withUnsafeMutableBufferPointer { addresses in
            // SAFETY: the C function changes at most `count` addresses.
            unsafe outrider_modules_follow(addresses.baseAddress, addresses.count, self.unloads)
        }
        var followed = self
        followed.table.replaceAddresses(addresses)
        followed.unloads = unloads
        return followed
    }
}
