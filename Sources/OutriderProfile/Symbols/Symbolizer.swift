// SPDX-License-Identifier: Apache-2.0
// Resolves return addresses to functions.
//
// Names come from the symbol tables of the files, which are read on demand and released again:
// those of a Swift service take some tens of megabytes. The names found are cached.

internal import COutriderSymbols
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Finds names; thread-safe.
package final class Symbolizer: Sendable {
    /// The instance used for all profiles.
    package static let shared = Symbolizer()

    /// Approximate maximum size of cached names, in bytes; beyond that the cache is cleared.
    package static let limit = 8 << 20
    /// Size of an address and of a function, without the name.
    private static let addressSize = 32
    private static let functionSize = 64
    /// Longest readable name, in bytes.
    private static let longestName = 2_048

    /// The known functions of a module.
    private struct Known: Sendable {
        var functions: [SymbolName] = []
        /// The index of the function at an address; -1 if there is none.
        var numbers: [UInt: Int32] = [:]

        mutating func add(_ found: Found, _ addresses: [UInt]) {
            let first = Int32(functions.count)
            functions += found.functions
            for (index, number) in found.numbers.enumerated() {
                numbers[addresses[index]] = number < 0 ? -1 : first + number
            }
        }
    }

    /// The result of a lookup of some addresses of a module.
    private struct Found: Sendable {
        var functions: [SymbolName] = []
        /// The index of a function for each address; -1 if there is none.
        var numbers: [Int32] = []

        var size: Int {
            functions.reduce(numbers.count * addressSize) { $0 + $1.size + functionSize }
        }
    }

    private struct Cache: Sendable {
        var modules: [Module: Known] = [:]
        var size = 0
    }

    private let history: ModuleHistory
    private let known = Guarded(Cache())

    /// Creates a symbolizer with an empty cache.
    package init(history: ModuleHistory = .shared) {
        self.history = history
    }

    /// Approximate size of the cached names, in bytes.
    package var knownSize: Int { known.withLock { $0.size } }

    /// Returns the symbols of these return addresses.
    package func symbols(of addresses: Set<UInt>) -> Symbols {
        symbols(ofSorted: addresses.sorted())
    }

    /// Returns the symbols of these return addresses, which must be unique and in ascending order.
    ///
    /// Takes 16 bytes per address in addition to the names.
    package func symbols(ofSorted addresses: [UInt]) -> Symbols {
        // Cached names do not count as memory of the service.
        OwnWork.begin()
        defer { OwnWork.end() }
        let finder = ModuleFinder(history.listing)
        var symbols = Symbols(modules: finder.modules, addresses: addresses)
        var start = 0
        while start < addresses.count {
            // Consecutive addresses mostly lie in the same module.
            let number = finder.module(of: addresses[start])
            var end = start + 1
            while end < addresses.count, finder.module(of: addresses[end]) == number { end += 1 }
            if let number { find(addresses[start..<end], in: number, &symbols) }
            start = end
        }
        return symbols
    }

    /// Finds the names of addresses in one module.
    private func find(_ addresses: ArraySlice<UInt>, in number: Int, _ symbols: inout Symbols) {
        let module = symbols.modules[number]
        let missing = add(known: addresses, in: number, &symbols)
        if missing.isEmpty { return }
        let wanted = missing.map { addresses[$0] }
        var fresh = Self.readSymbols(of: wanted, in: module)
        let isFinal = Self.demangle(&fresh)
        let first = symbols.add(fresh.functions)
        for (index, function) in zip(missing, fresh.numbers) {
            symbols.set(
                index, module: Int32(number), function: function < 0 ? -1 : first + function)
        }
        if isFinal { keep(fresh, wanted, module) }
    }

    /// Adds the cached symbols of addresses in one module, and returns the indices of the others.
    private func add(
        known addresses: ArraySlice<UInt>, in number: Int, _ symbols: inout Symbols
    ) -> [Int] {
        let module = symbols.modules[number]
        guard let known = known.withLock({ $0.modules[module] }) else {
            return Array(addresses.indices)
        }
        var missing: [Int] = []
        let first = symbols.add(known.functions)
        for index in addresses.indices {
            if let function = known.numbers[addresses[index]] {
                symbols.set(
                    index, module: Int32(number), function: function < 0 ? -1 : first + function)
            } else {
                missing.append(index)
            }
        }
        return missing
    }

    private func keep(_ fresh: Found, _ addresses: [UInt], _ module: Module) {
        let size = fresh.size
        guard size <= Self.limit else { return }
        known.withLock { cache in
            if cache.size + size > Self.limit { cache = Cache() }
            cache.modules[module, default: Known()].add(fresh, addresses)
            cache.size += size
        }
    }

    /// Reads the symbols of a module from its file, still mangled.
    private static func readSymbols(of addresses: [UInt], in module: Module) -> Found {
        var found = Found(numbers: [Int32](repeating: -1, count: addresses.count))
        var table = unsafe outrider_symbol_table()
        let isOpen =
            !addresses.isEmpty
            && module.withCModule { module in
                var module = module
                return unsafe outrider_symbols_open(&module, &table) != 0
            }
        guard isOpen else { return found }
        defer { unsafe outrider_symbols_close(&table) }
        var numbers: [UInt64: Int32] = [:]
        for (index, address) in addresses.enumerated() {
            var start: UInt64 = 0
            // SAFETY: the name belongs to the table, which stays open for the whole loop.
            let call = UInt64(address &- 1 &- module.bias)
            guard let symbol = unsafe outrider_symbols_find(&table, call, &start) else { continue }
            let number = numbers[start] ?? Int32(found.functions.count)
            if Int(number) == found.functions.count { found.functions.append(unsafe name(symbol)) }
            numbers[start] = number
            found.numbers[index] = number
        }
        return found
    }

    /// Copies a symbol name.
    ///
    /// A name longer than the limit of demangling is cut.
    private static func name(_ symbol: UnsafePointer<CChar>) -> SymbolName {
        // SAFETY: the C functions end every name with a zero.
        let length = unsafe strnlen(symbol, Int(OUTRIDER_SYMBOLS_LONGEST) + 1)
        let bytes = unsafe UnsafeRawBufferPointer(start: symbol, count: length)
        let mangled = unsafe String(decoding: bytes, as: UTF8.self)
        let isWhole = mangled.utf8.count <= longestName
        return SymbolName(
            readable: isWhole ? mangled : String(mangled.utf8Prefix(longestName)) + "…",
            mangled: mangled)
    }

    /// Demangles names where possible.
    ///
    /// Demanglers recurse as deep as a name is nested, so they run on a thread with enough stack.
    /// Returns false if no such thread can be started; then all names stay mangled.
    private static func demangle(_ found: inout Found) -> Bool {
        if found.functions.isEmpty { return true }
        let names = found.functions
        let made = DetachedThread.withDeepStack {
            OwnWork.run {
                names.map { name in
                    demangled(name.mangled).map { SymbolName(readable: $0, mangled: name.mangled) }
                        ?? name
                }
            }
        }
        guard let made else { return false }
        found.functions = made
        return true
    }

    private static func demangled(_ name: String) -> String? {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: longestName) { memory, count in
            // SAFETY: the C function stays within the capacity, and returns the length of the name.
            let destination = unsafe UnsafeMutableRawPointer(memory.baseAddress)?
                .assumingMemoryBound(to: CChar.self)
            count = unsafe outrider_symbols_demangle(name, destination, longestName)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
