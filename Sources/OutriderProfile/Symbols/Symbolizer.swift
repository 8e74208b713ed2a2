// SPDX-License-Identifier: Apache-2.0
// From return addresses to functions.
//
// The names come from the files' own symbol tables, read when somebody asks and let go of again: those of a
// Swift service are some tens of megabytes. The names that were found are kept.

internal import COutriderSymbols
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// What is known of a return address.
package struct Frame: Hashable, Sendable {
    /// The function, as people write it; nil if nobody knows.
    package var name: String?
    /// The function, as linkers write it.
    package var mangledName: String?
    /// The module's number in ``Symbols/modules``.
    package var module: Int?

    /// A frame of which nothing is known but this.
    package init(name: String? = nil, mangledName: String? = nil, module: Int? = nil) {
        self.name = name
        self.mangledName = mangledName
        self.module = module
    }
}

/// The frames of a profile.
package struct Symbols: Sendable {
    /// Everything that addresses may lie in, the program first.
    package let modules: [Module]
    /// What is known of each address.
    package let frames: [UInt: Frame]

    /// These frames, in these modules.
    package init(modules: [Module], frames: [UInt: Frame]) {
        self.modules = modules
        self.frames = frames
    }

    /// A name for people, whatever is known: the function, or the place in its file, or the address.
    package func label(_ address: UInt) -> String {
        let frame = frames[address]
        if let name = frame?.name { return name }
        guard let number = frame?.module else { return "0x" + String(address, radix: 16) }
        let module = modules[number]
        return "\(module.name)+0x" + String(address &- module.bias, radix: 16)
    }
}

/// Finds names; thread-safe.
package final class Symbolizer: Sendable {
    /// The one that every profile is named by.
    package static let shared = Symbolizer()

    /// Bytes of names that are kept, roughly; past that all are let go of.
    package static let limit = 8 << 20
    /// What an address costs besides its name.
    private static let entrySize = 200
    /// Longest name for people, in bytes.
    private static let longestName = 2_048

    private struct Name: Sendable {
        let readable: String
        let mangled: String

        var size: Int { readable.utf8.count + mangled.utf8.count }
    }

    /// An address in a certain module: another one may come to be loaded there.
    private struct Place: Hashable, Sendable {
        let address: UInt
        let module: Module
    }

    private struct Known: Sendable {
        var names: [Place: Name?] = [:]
        var size = 0

        mutating func add(_ fresh: [UInt: Name?], in module: Module) {
            for (address, name) in fresh {
                let more = entrySize + (name?.size ?? 0)
                if size + more > limit { self = Known() }
                names[Place(address: address, module: module)] = .some(name)
                size += more
            }
        }
    }

    private let history: ModuleHistory
    private let known = Guarded(Known())

    /// A symbolizer with no names yet.
    package init(history: ModuleHistory = .shared) {
        self.history = history
    }

    /// Bytes of the names that are kept, roughly.
    package var knownSize: Int { known.withLock { $0.size } }

    /// What is known of these return addresses.
    package func symbols(of addresses: Set<UInt>) -> Symbols {
        let modules = history.modules
        let order = modules.indices.sorted {
            modules[$0].addresses.lowerBound < modules[$1].addresses.lowerBound
        }
        var frames: [UInt: Frame] = [:]
        var members: [Int: [UInt]] = [:]
        for address in addresses {
            let number = Self.module(of: address, modules, order)
            frames[address] = Frame(module: number)
            if let number { members[number, default: []].append(address) }
        }
        for (number, addresses) in members {
            for (address, name) in names(of: addresses, in: modules[number]) {
                frames[address]?.name = name.readable
                frames[address]?.mangledName = name.mangled
            }
        }
        return Symbols(modules: modules, frames: frames)
    }

    /// The module that contains the call before a return address; what is loaded goes before what was.
    private static func module(of address: UInt, _ modules: [Module], _ order: [Int]) -> Int? {
        let call = address &- 1
        // The first that starts behind it; those before may overlap if some are gone.
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if modules[order[middle]].addresses.lowerBound <= call {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return order[..<low].reversed().prefix(4).filter {
            modules[$0].addresses.contains(call)
        }.min()
    }

    private func names(of addresses: [UInt], in module: Module) -> [UInt: Name] {
        var found: [UInt: Name] = [:]
        var missing: [UInt] = []
        known.withLock { known in
            for address in addresses {
                switch known.names[Place(address: address, module: module)] {
                case .some(let name?): found[address] = name
                case .some(nil): break
                case nil: missing.append(address)
                }
            }
        }
        if missing.isEmpty { return found }
        var fresh = Self.look(for: missing, in: module)
        if Self.demangle(&fresh) { known.withLock { $0.add(fresh, in: module) } }
        for (address, name) in fresh { if let name { found[address] = name } }
        return found
    }

    /// Reads the symbols of a module, as they are in its file; an address without a function has nil.
    private static func look(for addresses: [UInt], in module: Module) -> [UInt: Name?] {
        var found: [UInt: Name?] = [:]
        for address in addresses { found[address] = .some(nil) }
        var table = unsafe outrider_symbol_table()
        let isOpen = module.withPlace { place in
            var place = place
            return unsafe outrider_symbols_open(&place, &table) != 0
        }
        guard isOpen else { return found }
        defer { unsafe outrider_symbols_close(&table) }
        var names: [UInt64: Name] = [:]
        for address in addresses {
            var start: UInt64 = 0
            // SAFETY: the name belongs to the table, which stays open for the whole loop.
            let call = UInt64(address &- 1 &- module.bias)
            guard let symbol = unsafe outrider_symbols_find(&table, call, &start) else { continue }
            let name = unsafe names[start] ?? name(symbol)
            names[start] = name
            found[address] = .some(name)
        }
        return found
    }

    /// A symbol as it is.
    ///
    /// One longer than any that is demangled is cut.
    private static func name(_ symbol: UnsafePointer<CChar>) -> Name {
        // SAFETY: the C side ends every name with a zero.
        let length = unsafe strnlen(symbol, Int(OUTRIDER_SYMBOLS_LONGEST) + 1)
        let bytes = unsafe UnsafeRawBufferPointer(start: symbol, count: length)
        let mangled = unsafe String(decoding: bytes, as: UTF8.self)
        let isWhole = mangled.utf8.count <= longestName
        return Name(
            readable: isWhole ? mangled : String(mangled.utf8Prefix(longestName)) + "…",
            mangled: mangled)
    }

    /// Makes names readable where they can be.
    ///
    /// Demanglers recurse as deep as a name is nested, so they run on a thread with room for it, whoever asks;
    /// false if there is none to be had, and all stay as they are.
    private static func demangle(_ names: inout [UInt: Name?]) -> Bool {
        let mangled = Set(names.values.compactMap { $0?.mangled })
        if mangled.isEmpty { return true }
        let made = DetachedThread.withDeepStack {
            var readable: [String: String] = [:]
            for name in mangled { readable[name] = demangled(name) }
            return readable
        }
        guard let made else { return false }
        for (address, name) in names {
            if let name, let readable = made[name.mangled] {
                names[address] = Name(readable: readable, mangled: name.mangled)
            }
        }
        return true
    }

    private static func demangled(_ name: String) -> String? {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: longestName) { memory, count in
            // SAFETY: the C side stays within the capacity, and tells how much of it is the name.
            let place = unsafe UnsafeMutableRawPointer(memory.baseAddress)?
                .assumingMemoryBound(to: CChar.self)
            count = unsafe outrider_symbols_demangle(name, place, longestName)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
