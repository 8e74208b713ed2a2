// SPDX-License-Identifier: Apache-2.0
// What is loaded where, and what was: an address may be read long after its library has gone.

internal import COutriderSymbols
internal import OutriderThreading

/// An executable segment of the program or of a library, as it is or was loaded.
package struct Module: Hashable, Sendable {
    /// Its file.
    package let path: String
    /// The executable segment in memory.
    package let addresses: Range<UInt>
    /// All of its segments in memory.
    package let image: Range<UInt>
    /// What is added to the addresses of its file.
    package let bias: UInt
    /// Where the executable segment begins in the file.
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
        var moved: [Module] = []
    }

    private let state = Guarded(State())
    private let generation: @Sendable () -> UInt64
    private let loaded: @Sendable () -> [Module]
    private let moved: @Sendable () -> [Module]

    /// What is loaded in this process; or what a test says is.
    package init(
        generation: @escaping @Sendable () -> UInt64 = { ModuleHistory.currentGeneration },
        loaded: @escaping @Sendable () -> [Module] = { ModuleHistory.loadedModules() },
        moved: @escaping @Sendable () -> [Module] = { ModuleHistory.movedModules() }
    ) {
        self.generation = generation
        self.loaded = loaded
        self.moved = moved
    }

    /// Where the addresses of unloaded libraries are moved to, and above.
    package static var firstMoved: UInt { 1 << 63 }

    /// How many libraries were unloaded so far and had addresses that were moved.
    package static var unloads: UInt64 { outrider_modules_moves() }

    /// Changes when something is loaded, unloaded or moved.
    private static var currentGeneration: UInt64 {
        outrider_modules_generation() &+ outrider_modules_moves() &* 0x9e37_79b9_7f4a_7c15
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
        let moved = self.moved()
        // A library that comes and goes in one place is remembered once, and not while it is loaded.
        let present = Set(loaded)
        let gone = known.current.filter { !present.contains($0) }
        let before = Set(gone)
        let others = known.former.filter { !present.contains($0) && !before.contains($0) }
        let former = Array((gone + others).prefix(Self.limit))
        state.withLock { state in
            // Another look at the same time has found the same, or more.
            guard state.generation == known.generation else { return }
            state = State(generation: generation, current: loaded, former: former, moved: moved)
        }
    }

    /// The modules of this moment, the program first, then those that were, where they were and where the addresses
    /// moved to that heap profilers keep.
    package var modules: [Module] { listing.modules }

    /// The same, and which of them are former ones where they were: others may be loaded there now.
    var listing: (modules: [Module], former: Range<Int>) {
        look()
        let state = state.withLock { $0 }
        let former = state.current.count..<state.current.count + state.former.count
        return (state.current + state.former + state.moved, former)
    }

    package static func loadedModules() -> [Module] {
        // A few more, should something be loaded meanwhile.
        unsafe list(outrider_modules_list(nil, 0) + 16) { unsafe outrider_modules_list($0, $1) }
    }

    package static func movedModules() -> [Module] {
        if outrider_modules_moves() == 0 { return [] }
        return unsafe list(Int(OUTRIDER_MODULES_FORMER_LIMIT)) {
            unsafe outrider_modules_former($0, $1)
        }
    }

    private static func list(
        _ room: Int, _ fill: (UnsafeMutablePointer<outrider_module>?, Int) -> Int
    ) -> [Module] {
        let list = unsafe [outrider_module](unsafeUninitializedCapacity: room) { memory, filled in
            // SAFETY: the C side writes as many as there is room for, and returns how many there are.
            filled = unsafe min(room, fill(memory.baseAddress, room))
        }
        return list.compactMap(Module.init)
    }
}

extension Profile {
    /// The same with the addresses of libraries that were unloaded since then where those were moved to.
    func followingLibraries() -> Profile {
        let unloads = ModuleHistory.unloads
        if unloads == self.unloads { return self }
        var addresses = table.addresses
        unsafe addresses.withUnsafeMutableBufferPointer { addresses in
            // SAFETY: the C side changes as many addresses as there are.
            unsafe outrider_modules_follow(addresses.baseAddress, addresses.count, self.unloads)
        }
        var followed = self
        followed.table.replaceAddresses(addresses)
        followed.unloads = unloads
        return followed
    }
}
