// SPDX-License-Identifier: Apache-2.0
// The stacks of a profile by the names of their frames, sorted.
//
// Frames of one function are treated as one frame, wherever in the function they are. Names are
// represented by numbers, so that stacks are compared without text: a function's number is its rank
// among the names. Addresses without a name follow, each with its own number.

/// Stacks as sequences of name numbers, outermost first.
struct NamedStacks {
    private static let unknownStack = "[unknown stack]"

    /// The stacks that have samples, sorted by their names from the outermost frame; stacks with
    /// equal names are neighbours.
    let order: [Int32]
    private let table: SampleTable
    private let symbols: Symbols
    /// The sorted names of functions, including the one for a stack without frames.
    private let names: [String]
    private let unknown: UInt32
    /// The name number of each address of the table.
    private let nameIndices: [UInt32]

    init(_ table: SampleTable, _ symbols: Symbols) {
        self.table = table
        self.symbols = symbols
        let names = Self.sortedNames(symbols)
        self.names = names
        var ranks: [String: UInt32] = [:]
        for (rank, name) in names.enumerated() { ranks[name] = UInt32(rank) }
        let ofFunctions = symbols.functions.map { ranks[$0.readable] ?? 0 }
        let unknown = ranks[Self.unknownStack] ?? 0
        self.unknown = unknown
        // Addresses without symbols follow all others.
        var next = UInt32(names.count + symbols.addresses.count)
        let nameIndices = table.addresses.map { address in
            if let index = symbols.index(of: address) {
                return symbols.function(at: index).map { ofFunctions[$0] }
                    ?? UInt32(names.count + index)
            }
            next += 1
            return next - 1
        }
        self.nameIndices = nameIndices
        var isUsed = [Bool](repeating: false, count: table.stackCount)
        for row in table.rows { isUsed[Int(row.stack)] = true }
        var order: [Int32] = []
        order.reserveCapacity(table.stackCount)
        for stack in isUsed.indices where isUsed[stack] { order.append(Int32(stack)) }
        order.sort { left, right in
            Self.isBefore(
                table.range(ofStack: Int(left)), table.range(ofStack: Int(right)), table,
                nameIndices,
                unknown: unknown)
        }
        self.order = order
    }

    private static func sortedNames(_ symbols: Symbols) -> [String] {
        var names = Set(symbols.functions.map(\.readable))
        names.insert(unknownStack)
        return names.sorted()
    }

    private static func isBefore(
        _ left: Range<Int>, _ right: Range<Int>, _ table: SampleTable, _ nameIndices: [UInt32],
        unknown: UInt32
    ) -> Bool {
        var depth = 0
        while depth < max(1, left.count) && depth < max(1, right.count) {
            let a =
                left.isEmpty ? unknown : nameIndices[Int(table.frames[left.upperBound - 1 - depth])]
            let b =
                right.isEmpty
                ? unknown : nameIndices[Int(table.frames[right.upperBound - 1 - depth])]
            if a != b { return a < b }
            depth += 1
        }
        return left.count < right.count
    }

    /// Number of frames of a stack; one without frames has the frame `[unknown stack]`.
    func depth(_ stack: Int32) -> Int { max(1, table.range(ofStack: Int(stack)).count) }

    /// The name number of a frame; depth 0 is the outermost.
    func nameIndex(_ stack: Int32, _ depth: Int) -> UInt32 {
        let range = table.range(ofStack: Int(stack))
        return range.isEmpty
            ? unknown : nameIndices[Int(table.frames[range.upperBound - 1 - depth])]
    }

    /// The name of a frame.
    func label(_ stack: Int32, _ depth: Int) -> String {
        let nameIndex = Int(nameIndex(stack, depth))
        if nameIndex < names.count { return names[nameIndex] }
        let range = table.range(ofStack: Int(stack))
        return symbols.label(table.addresses[Int(table.frames[range.upperBound - 1 - depth])])
    }

    /// Number of outermost frames that two stacks have in common.
    func common(_ left: Int32, _ right: Int32) -> Int {
        var depth = 0
        while depth < self.depth(left), depth < self.depth(right),
            nameIndex(left, depth) == nameIndex(right, depth)
        {
            depth += 1
        }
        return depth
    }

    /// The values of each stack, summed over its labels; `take` transforms each value first.
    func sums(_ take: (Int64) -> Int64) -> [Int64] {
        let width = table.width
        var sums = [Int64](repeating: 0, count: table.stackCount * width)
        for (row, content) in table.rows.enumerated() {
            for value in 0..<width {
                let offset = Int(content.stack) * width + value
                sums[offset] = SampleTable.sum(
                    sums[offset], take(table.values[row * width + value]))
            }
        }
        return sums
    }
}
