// SPDX-License-Identifier: Apache-2.0
// The samples of a profile in flat arrays: addresses and stacks without duplicates, four bytes per
// frame.
//
// A sampler at its limits has 16,384 stacks with a million frames. As separate arrays, with a
// dictionary to find them, they took 20 MB.

/// The samples of a profile.
package struct SampleTable: Sendable {
    /// A stack with a set of labels.
    package struct Row: Sendable {
        /// The index of the stack.
        package let stack: Int32
        /// The index of the set of labels.
        package let labels: Int32
    }

    /// Number of values per row.
    package let width: Int
    /// The addresses without duplicates, in the order in which they were added.
    package private(set) var addresses: [UInt] = []
    /// The stacks one after another, innermost frames first, as indices into ``addresses``.
    package private(set) var frames: [UInt32] = []
    /// The start of each stack in ``frames``, and the end of the last one.
    private var starts: [Int32] = [0]
    /// One row for each stack and set of labels.
    package private(set) var rows: [Row] = []
    /// The values of all rows, ``width`` per row.
    package private(set) var values: [Int64] = []
    /// The sets of labels without duplicates, each sorted by key.
    package private(set) var labelSets: [[Profile.Label]] = []

    private var addressIndex = HashIndex()
    private var stackIndex = HashIndex()
    private var rowIndex = HashIndex()
    private var labelIndices: [[Profile.Label]: Int32] = [:]

    init(width: Int) { self.width = width }

    /// Number of stacks.
    package var stackCount: Int { starts.count - 1 }

    /// The frames of a stack, as indices into ``frames``.
    package func range(ofStack number: Int) -> Range<Int> {
        Int(starts[number])..<Int(starts[number + 1])
    }

    /// The samples as separate values.
    var samples: [Profile.Sample] {
        rows.indices.map { row in
            Profile.Sample(
                stack: range(ofStack: Int(rows[row].stack)).map { addresses[Int(frames[$0])] },
                labels: labelSets[Int(rows[row].labels)],
                values: Array(values[row * width..<(row + 1) * width]))
        }
    }

    /// The addresses that rows refer to, sorted.
    package var usedAddresses: [UInt] {
        var isUsed = [Bool](repeating: false, count: addresses.count)
        for row in rows {
            for frame in range(ofStack: Int(row.stack)) { isUsed[Int(frames[frame])] = true }
        }
        var used: [UInt] = []
        used.reserveCapacity(addresses.count)
        for index in addresses.indices where isUsed[index] { used.append(addresses[index]) }
        used.sort()
        return used
    }

    // MARK: - Adding

    /// Reserves room for frames and stacks, so that the arrays do not grow by doubling.
    package mutating func reserve(frames: Int, stacks: Int) {
        self.frames.reserveCapacity(frames)
        starts.reserveCapacity(stacks + 1)
        rows.reserveCapacity(stacks)
        values.reserveCapacity(stacks * width)
    }

    /// Returns the index of a stack; `address` returns the address at a depth, innermost first.
    package mutating func stack(_ depth: Int, _ address: (Int) -> UInt) -> Int32 {
        let start = frames.count
        for level in 0..<depth { frames.append(index(of: address(level))) }
        return internLastFrames(from: start)
    }

    /// Turns the frames from `start` on into a stack, or removes them if that stack is known.
    private mutating func internLastFrames(from start: Int) -> Int32 {
        let depth = frames.count - start
        let known = stackIndex.find(hash(start, depth)) { number in
            let other = range(ofStack: number)
            guard other.count == depth else { return false }
            for level in 0..<depth where frames[other.lowerBound + level] != frames[start + level] {
                return false
            }
            return true
        }
        if let known {
            frames.removeLast(depth)
            return Int32(known)
        }
        let number = stackCount
        var index = Self.take(&stackIndex)
        index.insert(number, hash(start, depth)) { number in
            let range = range(ofStack: number)
            return hash(range.lowerBound, range.count)
        }
        stackIndex = index
        starts.append(Int32(frames.count))
        return Int32(number)
    }

    /// Moves an index out, so that it can change while the rest of the table is read.
    private static func take(_ index: inout HashIndex) -> HashIndex {
        let taken = index
        index = HashIndex()
        return taken
    }

    private func hash(_ start: Int, _ depth: Int) -> UInt {
        var hash = HashIndex.mix(UInt(depth))
        for level in start..<start + depth { hash = HashIndex.mix(hash ^ UInt(frames[level])) }
        return hash
    }

    private mutating func index(of address: UInt) -> UInt32 {
        let hash = HashIndex.mix(address)
        if let known = addressIndex.find(hash, where: { addresses[$0] == address }) {
            return UInt32(known)
        }
        let number = addresses.count
        var index = Self.take(&addressIndex)
        index.insert(number, hash) { HashIndex.mix(addresses[$0]) }
        addressIndex = index
        addresses.append(address)
        return UInt32(number)
    }

    /// Returns the index of a set of labels.
    package mutating func labelSet(_ labels: [Profile.Label]) -> Int32 {
        let labels = labels.count > 1 ? labels.sorted { $0.key < $1.key } : labels
        if let known = labelIndices[labels] { return known }
        let number = Int32(labelSets.count)
        labelIndices[labels] = number
        labelSets.append(labels)
        return number
    }

    /// Adds values to a row.
    package mutating func add(stack: Int32, labels: Int32, _ more: [Int64]) {
        let row = row(stack, labels)
        for index in 0..<min(width, more.count) {
            values[row * width + index] = Self.sum(values[row * width + index], more[index])
        }
    }

    private mutating func row(_ stack: Int32, _ labels: Int32) -> Int {
        let hash = Self.hash(stack, labels)
        let known = rowIndex.find(hash) { rows[$0].stack == stack && rows[$0].labels == labels }
        if let known { return known }
        let number = rows.count
        var index = Self.take(&rowIndex)
        index.insert(number, hash) { Self.hash(rows[$0].stack, rows[$0].labels) }
        rowIndex = index
        rows.append(Row(stack: stack, labels: labels))
        for _ in 0..<width { values.append(0) }
        return number
    }

    private static func hash(_ stack: Int32, _ labels: Int32) -> UInt {
        HashIndex.mix(UInt(UInt32(bitPattern: stack)) << 32 | UInt(UInt32(bitPattern: labels)))
    }

    /// The sum, clamped to the limits of `Int64`.
    static func sum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflows) = left.addingReportingOverflow(right)
        return overflows ? (left < 0 ? .min : .max) : sum
    }

    // MARK: - Differences

    /// Subtracts the values of an earlier table, and removes the rows that become zero.
    mutating func subtract(_ earlier: SampleTable) {
        let indices = earlier.addresses.map { index(of: $0) }
        let sets = earlier.labelSets.map { labelSet($0) }
        var stacks = [Int32](repeating: -1, count: earlier.stackCount)
        for (row, old) in earlier.rows.enumerated() {
            var stack = stacks[Int(old.stack)]
            if stack < 0 {
                let start = frames.count
                for frame in earlier.range(ofStack: Int(old.stack)) {
                    frames.append(indices[Int(earlier.frames[frame])])
                }
                stack = internLastFrames(from: start)
                stacks[Int(old.stack)] = stack
            }
            let now = self.row(stack, sets[Int(old.labels)])
            for index in 0..<min(width, earlier.width) {
                let before = earlier.values[row * earlier.width + index]
                values[now * width + index] = Self.sum(values[now * width + index], 0 &- before)
            }
        }
        removeUnchanged()
    }

    private mutating func removeUnchanged() {
        var kept = 0
        var index = HashIndex()
        for row in rows.indices {
            var isChanged = false
            for value in 0..<width where values[row * width + value] != 0 { isChanged = true }
            guard isChanged else { continue }
            rows[kept] = rows[row]
            for value in 0..<width { values[kept * width + value] = values[row * width + value] }
            index.insert(kept, Self.hash(rows[kept].stack, rows[kept].labels)) {
                Self.hash(rows[$0].stack, rows[$0].labels)
            }
            kept += 1
        }
        rowIndex = index
        rows.removeLast(rows.count - kept)
        values.removeLast(values.count - kept * width)
    }

    /// Replaces the addresses; two that become equal are merged.
    package mutating func replaceAddresses(_ replaced: [UInt]) {
        guard replaced.count == addresses.count, replaced != addresses else { return }
        var other = SampleTable(width: width)
        other.reserve(frames: frames.count, stacks: stackCount)
        for row in rows.indices {
            let range = range(ofStack: Int(rows[row].stack))
            let stack = other.stack(range.count) { replaced[Int(frames[range.lowerBound + $0])] }
            other.add(
                stack: stack, labels: other.labelSet(labelSets[Int(rows[row].labels)]),
                Array(values[row * width..<(row + 1) * width]))
        }
        self = other
    }
}

/// A hash index of numbers whose keys are stored elsewhere: open addressing, 5 to 11 bytes per
/// number.
struct HashIndex: Sendable {
    /// Numbers plus one, or 0 for a free slot; the size is a power of two.
    private var slots: [UInt32] = []
    private var count = 0

    /// The number with this hash for which `isSame` holds; nil if there is none.
    func find(_ hash: UInt, where isSame: (Int) -> Bool) -> Int? {
        if slots.isEmpty { return nil }
        var at = Int(hash & UInt(slots.count - 1))
        while slots[at] != 0 {
            let number = Int(slots[at]) - 1
            if isSame(number) { return number }
            at = (at + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a number that is not present; `hashes` returns the hashes of the others.
    mutating func insert(_ number: Int, _ hash: UInt, _ hashes: (Int) -> UInt) {
        // At most three quarters full.
        if count * 4 >= slots.count * 3 {
            let before = slots
            slots = [UInt32](repeating: 0, count: max(16, before.count * 2))
            for slot in before where slot != 0 { store(slot, hashes(Int(slot) - 1)) }
        }
        store(UInt32(number) + 1, hash)
        count += 1
    }

    private mutating func store(_ slot: UInt32, _ hash: UInt) {
        var at = Int(hash & UInt(slots.count - 1))
        while slots[at] != 0 { at = (at + 1) & (slots.count - 1) }
        slots[at] = slot
    }

    /// Spreads a number over all bits (splitmix64).
    static func mix(_ number: UInt) -> UInt {
        var mixed = number &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
