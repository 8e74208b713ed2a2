// SPDX-License-Identifier: Apache-2.0
// The tree of a flame graph, of which only the largest branches are ever in memory.
//
// A million frames make up to a million branches. The stacks come in order, so that each branch is a run of neighbours,
// and one pass over them meets every branch with one path in memory. The first pass finds how large a branch
// has to be to stay, the second one keeps those.

/// The stacks of a profile, merged from their outermost frames on.
struct FlameTree {
    /// A branch that is drawn.
    private struct Node {
        /// The number of its name.
        let name: Int32
        let firstChild: Int32
        /// The next child of its parent.
        let next: Int32
    }

    /// A branch on the path that is being met.
    private struct Branch {
        let stack: Int32
        let depth: Int
        var firstChild: Int32 = -1
    }

    /// How many branches are left out.
    private(set) var leftOut = 0
    /// The names of those that are drawn, each once, that of all first.
    private(set) var names = ["all"]
    private var numbers: [String: Int32] = ["all": 0]
    private var nodes: [Node] = []
    /// The values of all nodes, ``width`` of each.
    private var values: [Int64] = []
    private let width: Int
    private let main: Int

    init(_ profile: Profile, _ symbols: Symbols, limit: Int) {
        width = profile.table.width
        main = profile.defaultIndex
        let stacks = NamedStacks(profile.table, symbols)
        // A width cannot be negative.
        let sums = stacks.sums { max(0, $0) }
        var totals = [Int64](repeating: 0, count: width)
        for stack in stacks.order { Self.add(sums, Int(stack) * width, to: &totals, 0, width) }
        var largest = LargestShares(limit: limit)
        Self.visit(stacks, sums, width) { _, branch, values, first in
            if branch.depth >= 0 { largest.add(Self.share(values, first, of: totals)) }
            return -1
        }
        let least = largest.least
        var kept = 0
        Self.visit(stacks, sums, width) { next, branch, values, first in
            let isKept =
                branch.depth < 0 || least.map { Self.share(values, first, of: totals) > $0 } ?? true
            guard isKept else { return next }
            kept += 1
            return keep(branch, next, stacks, values, first)
        }
        leftOut = largest.count + 1 - kept
    }

    private mutating func keep(
        _ branch: Branch, _ next: Int32, _ stacks: NamedStacks, _ values: [Int64], _ first: Int
    ) -> Int32 {
        let name = branch.depth < 0 ? "all" : stacks.label(branch.stack, branch.depth)
        let number = numbers[name] ?? Int32(names.count)
        if Int(number) == names.count {
            names.append(name)
            numbers[name] = number
        }
        nodes.append(Node(name: number, firstChild: branch.firstChild, next: next))
        for index in first..<first + width { self.values.append(values[index]) }
        return Int32(nodes.count - 1)
    }

    /// Calls `meet` for every branch, children before their parents, and at last for that of all, whose depth is -1.
    ///
    /// `meet` gets the first of the branch's siblings so far, the branch, and where its values are, and returns who is
    /// the first of the siblings then.
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
        _ from: [Int64], _ place: Int, to values: inout [Int64], _ first: Int, _ width: Int
    ) {
        for index in 0..<width {
            values[first + index] = SampleTable.sum(values[first + index], from[place + index])
        }
    }

    private static func share(_ values: [Int64], _ first: Int, of totals: [Int64]) -> Double {
        var share = 0.0
        for index in totals.indices where totals[index] > 0 {
            share = max(share, Double(values[first + index]) / Double(totals[index]))
        }
        return share
    }

    /// Writes the nodes as `[name, [values], [children]]`, largest child first.
    func write(into json: inout JSONText) {
        // That of all came last.
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
        // As deep as stacks are: 128 frames.
        for child in children { write(child, into: &json) }
        json.close("]")
        json.close("]")
    }
}

/// The least of the largest shares, of which there are a limited number: a heap whose root is the least.
private struct LargestShares {
    private let limit: Int
    private var shares: [Double] = []
    /// How many were added.
    private(set) var count = 0

    init(limit: Int) { self.limit = limit }

    /// The share above which a branch stays; nil if all do.
    var least: Double? { count < limit ? nil : shares.first }

    mutating func add(_ share: Double) {
        count += 1
        if shares.count < limit - 1 {
            shares.append(share)
            var at = shares.count - 1
            while at > 0, shares[(at - 1) / 2] > shares[at] {
                shares.swapAt(at, (at - 1) / 2)
                at = (at - 1) / 2
            }
        } else if share > shares[0] {
            shares[0] = share
            sink()
        }
    }

    private mutating func sink() {
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < shares.count {
                if shares[child] < shares[least] { least = child }
            }
            if least == at { return }
            shares.swapAt(at, least)
            at = least
        }
    }
}
