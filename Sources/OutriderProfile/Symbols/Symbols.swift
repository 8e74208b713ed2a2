// SPDX-License-Identifier: Apache-2.0
// The symbols of a profile's addresses: 16 bytes per address, and each function once.

/// The symbol of a return address.
package struct Frame: Hashable, Sendable {
    /// The demangled name of the function; nil if it is unknown.
    package var name: String?
    /// The mangled name of the function.
    package var mangledName: String?
    /// The index of the module in ``Symbols/modules``.
    package var module: Int?

    /// Creates a frame with only this information.
    package init(name: String? = nil, mangledName: String? = nil, module: Int? = nil) {
        self.name = name
        self.mangledName = mangledName
        self.module = module
    }
}

/// The name of a function.
package struct SymbolName: Hashable, Sendable {
    /// The demangled name.
    package let readable: String
    /// The mangled name.
    package let mangled: String

    var size: Int { readable.utf8.count + mangled.utf8.count }
}

/// The symbols of a profile's addresses.
package struct Symbols: Sendable {
    private struct Entry: Sendable {
        var module: Int32 = -1
        var function: Int32 = -1
    }

    /// The modules that addresses may lie in, the program first.
    package let modules: [Module]
    /// The functions; some may not belong to any address.
    package private(set) var functions: [SymbolName] = []
    /// The addresses, in ascending order.
    package let addresses: [UInt]
    private var entries: [Entry]

    /// Creates symbols for addresses that are unique and in ascending order, with no information
    /// yet.
    init(modules: [Module], addresses: [UInt]) {
        self.modules = modules
        self.addresses = addresses
        entries = [Entry](repeating: Entry(), count: addresses.count)
    }

    /// Creates symbols from frames and modules.
    package init(modules: [Module], frames: [UInt: Frame]) {
        self.init(modules: modules, addresses: frames.keys.sorted())
        for index in addresses.indices {
            guard let frame = frames[addresses[index]] else { continue }
            let function = frame.name.map {
                add([SymbolName(readable: $0, mangled: frame.mangledName ?? $0)])
            }
            set(index, module: Int32(frame.module ?? -1), function: function ?? -1)
        }
    }

    /// Adds functions, and returns the index of the first.
    mutating func add(_ more: [SymbolName]) -> Int32 {
        let first = Int32(functions.count)
        functions += more
        return first
    }

    /// Sets the module and function of the address at this index of ``addresses``; -1 for none.
    mutating func set(_ index: Int, module: Int32, function: Int32) {
        entries[index] = Entry(module: module, function: function)
    }

    // MARK: - Lookup

    /// The index of an address in ``addresses``; nil if it is missing.
    func index(of address: UInt) -> Int? {
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle] < address { low = middle + 1 } else { high = middle }
        }
        return low < addresses.count && addresses[low] == address ? low : nil
    }

    /// The index of the function at this index; nil if it is unknown.
    func function(at index: Int) -> Int? {
        let number = Int(entries[index].function)
        return number < 0 ? nil : number
    }

    /// The index of the module at this index; nil if there is none.
    func module(at index: Int) -> Int? {
        let number = Int(entries[index].module)
        return number < 0 ? nil : number
    }

    /// The frame of an address; nil if the address is not included.
    package subscript(address: UInt) -> Frame? {
        guard let index = index(of: address) else { return nil }
        let name = function(at: index).map { functions[$0] }
        return Frame(
            name: name?.readable, mangledName: name?.mangled, module: module(at: index))
    }

    /// A readable label for an address: the function, or the offset in its file, or the address
    /// itself.
    package func label(_ address: UInt) -> String {
        guard let index = index(of: address) else { return Self.hexadecimal(address) }
        return label(at: index)
    }

    /// The label of the address at this index.
    func label(at index: Int) -> String {
        if let function = function(at: index) { return functions[function].readable }
        guard let number = module(at: index) else { return Self.hexadecimal(addresses[index]) }
        return
            "\(modules[number].name)+\(Self.hexadecimal(addresses[index] &- modules[number].bias))"
    }

    private static func hexadecimal(_ number: UInt) -> String {
        "0x" + String(number, radix: 16)
    }
}

/// Finds the modules of addresses.
struct ModuleFinder {
    let modules: [Module]
    /// Loaded and moved modules, sorted by their addresses, which do not overlap.
    private let present: [Int]
    /// Unloaded modules, sorted by their former addresses, which may overlap.
    private let former: [Int]

    init(_ listing: (modules: [Module], former: Range<Int>)) {
        let modules = listing.modules
        func isBefore(_ left: Int, _ right: Int) -> Bool {
            modules[left].addresses.lowerBound < modules[right].addresses.lowerBound
        }
        self.modules = modules
        present = modules.indices.filter { !listing.former.contains($0) }.sorted(by: isBefore)
        former = listing.former.sorted(by: isBefore)
    }

    /// The module that contains the call before a return address; loaded modules take precedence.
    func module(of address: UInt) -> Int? {
        let call = address &- 1
        let index = Self.count(of: present, startingUpTo: call, modules)
        if index > 0, modules[present[index - 1]].addresses.contains(call) {
            return present[index - 1]
        }
        // Of the nearest unloaded ones, the one unloaded last.
        let end = Self.count(of: former, startingUpTo: call, modules)
        var found: Int?
        for index in max(0, end - 4)..<end where modules[former[index]].addresses.contains(call) {
            found = min(found ?? former[index], former[index])
        }
        return found
    }

    private static func count(of order: [Int], startingUpTo call: UInt, _ modules: [Module]) -> Int
    {
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
        return low
    }
}
