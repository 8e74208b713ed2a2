// SPDX-License-Identifier: Apache-2.0
// The tree of a flame graph, built so that only the largest branches are ever in memory.
//
// A million frames may form a million branches. The stacks are sorted, so each branch is a run of
// neighbours, and one pass visits every branch with a single path in memory. The first pass finds
// the minimum size of a branch to keep, the second one keeps those branches.

/// The stacks of a profile, merged from their outermost frames.
struct FlameTree {
    /// A branch that is drawn.
    private struct Node {
        /// The index of its name.
        let name: Int32
        let firstChild: Int32
        /// The next child of its parent.
        let next: Int32
    }

    /// A branch on the current path.
    private struct Branch {
        let stack: Int32
        let depth: Int
        var firstChild: Int32 = -1
    }

    /// Number of branches left out.
    private(set) var leftOut = 0
    /// The names of the drawn branches, without duplicates; the first is that of the root.
    private(set) var names = ["all"]
    private var nameIndices: [String: Int32] = ["all": 0]
    private var nodes: [Node] = []
    /// The values of all nodes, ``width`` per node.
    private var values: [Int64] = []
    private let width: Int
    private let main: Int

    init(_ profile: Profile, _ symbols: Symbols, limit: Int) {
        width = profile.table.width
        main = profile.defaultIndex
        let stacks = NamedStacks(profile.table, symbols)
        // Negative values cannot be drawn as a width.
        let sums = stacks.sums { max(0, $0) }
        var totals = [Int64](repeating: 0, count: width)
        for stack in stacks.order { Self.add(sums, Int(stack) * width, to: &totals, 0, width) }
        // The root takes one of the nodes.
        var largest = LargestBranches(limit: limit - 1)
        Self.visit(stacks, sums, width) { _, branch, values, first in
            if branch.depth >= 0 { largest.add(Self.size(branch, values, first, of: totals)) }
            return -1
        }
        leftOut = largest.leftOut
        Self.visit(stacks, sums, width) { next, branch, values, first in
            let isKept =
                branch.depth < 0
                || largest.takes(Self.size(branch, values, first, of: totals))
            return isKept ? keep(branch, next, stacks, values, first) : next
        }
    }

    private mutating func keep(
        _ branch: Branch, _ next: Int32, _ stacks: NamedStacks, _ values: [Int64], _ first: Int
    ) -> Int32 {
        let name = branch.depth < 0 ? "all" : stacks.label(branch.stack, branch.depth)
        let number = nameIndices[name] ?? Int32(names.count)
        if Int(number) == names.count {
            names.append(name)
            nameIndices[name] = number
        }
        nodes.append(Node(name: number, firstChild: branch.firstChild, next: next))
        for index in first..<first + width { self.values.append(values[index]) }
        return Int32(nodes.count - 1)
    }

    /// Calls `meet` for every branch, children before their parents, and finally for the root,
    /// whose depth is -1.
    ///
    /// `meet` receives the current first sibling of the branch, the branch and the start of its
    /// values, and returns the new first sibling.
    private static func visit(
        _ stacks: NamedStacks, _ sums: [Int64], _ width: Int,
        _ meet: (_ next: Int32, Branch, _ values: [Int64], _ first: Int) -> Int32
    ) {
        var path = [Branch(stack: -1, depth: -1)]
        var values = [Int64](repeating: 0, count: width)
        func close(downTo count: Int) {
            while path.count > count, let branch = path.popLast() {
                let first = path.count * width
                let firstChild = meet(path.last?.firstChild ?? -1, branch, values, first)
                if path.isEmpty { return }
                path[path.count - 1].firstChild = firstChild
                for index in 0..<width {
                    let parent = first - width + index
                    values[parent] = SampleTable.sum(values[parent], values[first + index])
                }
                values.removeLast(width)
            }
        }
        var before: Int32?
        for stack in stacks.order {
            close(downTo: (before.map { stacks.common($0, stack) } ?? 0) + 1)
            while path.count <= stacks.depth(stack) {
                path.append(Branch(stack: stack, depth: path.count - 1))
                for _ in 0..<width { values.append(0) }
            }
            add(sums, Int(stack) * width, to: &values, (path.count - 1) * width, width)
            before = stack
        }
        close(downTo: 0)
    }

    private static func add(
        _ from: [Int64], _ offset: Int, to values: inout [Int64], _ first: Int, _ width: Int
    ) {
        for index in 0..<width {
            values[first + index] = SampleTable.sum(values[first + index], from[offset + index])
        }
    }

    private static func size(
        _ branch: Branch, _ values: [Int64], _ first: Int, of totals: [Int64]
    ) -> BranchSize {
        var share = 0.0
        for index in totals.indices where totals[index] > 0 {
            share = max(share, Double(values[first + index]) / Double(totals[index]))
        }
        return BranchSize(share: share, depth: branch.depth)
    }

    /// Writes the nodes as `[name, [values], [children]]`, largest child first.
    func write(into json: inout JSONText) {
        // The root was added last.
        write(nodes.count - 1, into: &json)
    }

    private func write(_ number: Int, into json: inout JSONText) {
        json.open("[")
        json.number(Int64(nodes[number].name))
        json.open("[")
        for value in values[number * width..<(number + 1) * width] { json.number(value) }
        json.close("]")
        json.open("[")
        var children: [Int] = []
        var child = nodes[number].firstChild
        while child >= 0 {
            children.append(Int(child))
            child = nodes[Int(child)].next
        }
        children.sort { left, right in
            let (a, b) = (values[left * width + main], values[right * width + main])
            return a != b ? a > b : names[Int(nodes[left].name)] < names[Int(nodes[right].name)]
        }
        // At most as deep as a stack: 128 frames.
        for child in children { write(child, into: &json) }
        json.close("]")
        json.close("]")
    }
}

/// The size of a branch: its largest share of any type; of equal shares, the outer is larger.
///
/// So a parent is always larger than its children.
private struct BranchSize: Comparable {
    let share: Double
    let depth: Int

    static func < (left: BranchSize, right: BranchSize) -> Bool {
        left.share != right.share ? left.share < right.share : left.depth > right.depth
    }
}

/// A bounded set of the largest branches: a heap whose root is the smallest of them.
private struct LargestBranches {
    private let limit: Int
    private var sizes: [BranchSize] = []
    private var count = 0
    /// How many branches of the smallest size are still to be kept; counted at the first use.
    private var ties: Int?

    init(limit: Int) { self.limit = limit }

    /// Number of branches added that are not among the largest.
    var leftOut: Int { count - sizes.count }

    mutating func add(_ size: BranchSize) {
        count += 1
        if sizes.count < limit {
            sizes.append(size)
            var at = sizes.count - 1
            while at > 0, sizes[at] < sizes[(at - 1) / 2] {
                sizes.swapAt(at, (at - 1) / 2)
                at = (at - 1) / 2
            }
        } else if let least = sizes.first, least < size {
            sizes[0] = size
            sink()
        }
    }

    private mutating func sink() {
        var at = 0
        while true {
            var least = at
            for child in 2 * at + 1...2 * at + 2 where child < sizes.count {
                if sizes[child] < sizes[least] { least = child }
            }
            if least == at { return }
            sizes.swapAt(at, least)
            at = least
        }
    }

    /// Whether a branch is among the largest, after all were added; of equally small ones, the
    /// first are kept.
    mutating func takes(_ size: BranchSize) -> Bool {
        guard leftOut > 0, let least = sizes.first else { return true }
        if size != least { return least < size }
        let left = ties ?? sizes.count { $0 == least }
        ties = max(0, left - 1)
        return left > 0
    }
}
