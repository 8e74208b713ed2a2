// SPDX-License-Identifier: Apache-2.0
// A flame graph as one page: no other file, no other host, so it can be kept, mailed and opened anywhere.
//
// The stacks become a tree of names; the page draws what is wide enough to be seen. Names come from
// binaries and may hold anything, so they go into the page as escaped JSON and reach the screen as text.

/// Writes the page.
enum FlameGraph {
    /// Branches that are drawn at most; the smallest are left out and counted.
    private static let nodeLimit = 20_000

    /// The page of a profile.
    static func render(_ profile: Profile, _ symbols: Symbols, title: String) -> [UInt8] {
        var tree = FlameTree(profile, symbols)
        let leftOut = tree.prune(to: nodeLimit)
        var json = JSONText()
        json.open("{")
        json.member("title", title)
        json.member("main", profile.defaultIndex)
        json.list("types", profile.sampleTypes) { json, type in
            json.open("[")
            json.string(type.type)
            json.string(type.unit)
            json.close("]")
        }
        json.list("remarks", remarks(profile, leftOut)) { json, remark in json.string(remark) }
        json.list("names", tree.names) { json, name in json.string(name) }
        json.key("root")
        tree.write(into: &json)
        json.close("}")
        return Array(FlameGraphPage.head(title: title).utf8) + json.bytes
            + Array(FlameGraphPage.tail.utf8)
    }

    private static func remarks(_ profile: Profile, _ leftOut: Int) -> [String] {
        var remarks = profile.comments
        if profile.samples.contains(where: { $0.values.contains { $0 < 0 } }) {
            remarks.append("What became less is not drawn.")
        }
        if leftOut > 0 { remarks.append("\(leftOut) small branches are left out.") }
        return remarks
    }
}

/// The stacks of a profile, merged from their outermost frames on.
struct FlameTree {
    private struct Node {
        let name: Int
        var values: [Int64]
        var children: [Int: Int] = [:]
        var isKept = true
    }

    private(set) var names: [String] = ["all"]
    private var nodes: [Node]
    private var main: Int

    init(_ profile: Profile, _ symbols: Symbols) {
        main = profile.defaultIndex
        let zero = profile.sampleTypes.map { _ in Int64(0) }
        nodes = [Node(name: 0, values: zero)]
        var numbers: [String: Int] = [:]
        var labels: [UInt: Int] = [:]
        func number(of name: String) -> Int {
            if let known = numbers[name] { return known }
            names.append(name)
            numbers[name] = names.count - 1
            return names.count - 1
        }
        for sample in profile.samples {
            // A width cannot be negative.
            let values = sample.values.map { max(0, $0) }
            add(values, to: 0)
            var at = 0
            let stack = sample.stack.isEmpty ? [0] : sample.stack
            for address in stack.reversed() {
                let name =
                    labels[address]
                    ?? number(of: address == 0 ? "[unknown stack]" : symbols.label(address))
                labels[address] = name
                at = child(of: at, name, zero)
                add(values, to: at)
            }
        }
    }

    private mutating func child(of node: Int, _ name: Int, _ zero: [Int64]) -> Int {
        if let known = nodes[node].children[name] { return known }
        nodes.append(Node(name: name, values: zero))
        nodes[node].children[name] = nodes.count - 1
        return nodes.count - 1
    }

    private mutating func add(_ values: [Int64], to node: Int) {
        for index in values.indices {
            let (sum, overflows) = nodes[node].values[index].addingReportingOverflow(values[index])
            nodes[node].values[index] = overflows ? .max : sum
        }
    }

    /// Keeps the largest nodes, fewer than `limit`, by their greatest share of any type; returns how
    /// many go.
    ///
    /// A node's parents are no smaller than it is, so what stays is a tree.
    mutating func prune(to limit: Int) -> Int {
        guard nodes.count > limit else { return 0 }
        let totals = nodes[0].values
        let shares = nodes.map { node in
            zip(node.values, totals).map { $1 > 0 ? Double($0) / Double($1) : 0 }.max() ?? 0
        }
        let least = shares.sorted { $0 > $1 }[limit - 1]
        var kept = 0
        for index in nodes.indices {
            nodes[index].isKept = index == 0 || shares[index] > least
            if nodes[index].isKept { kept += 1 }
        }
        return nodes.count - kept
    }

    /// Writes the nodes as `[name, [values], [children]]`, largest child first.
    func write(into json: inout JSONText) {
        write(0, into: &json)
    }

    private func write(_ number: Int, into json: inout JSONText) {
        let node = nodes[number]
        json.open("[")
        json.number(Int64(node.name))
        json.open("[")
        for value in node.values { json.number(value) }
        json.close("]")
        json.open("[")
        let children = node.children.values.filter { nodes[$0].isKept }.sorted { left, right in
            let (a, b) = (nodes[left].values[main], nodes[right].values[main])
            return a != b ? a > b : names[nodes[left].name] < names[nodes[right].name]
        }
        // As deep as stacks are: 128 frames.
        for child in children { write(child, into: &json) }
        json.close("]")
        json.close("]")
    }
}

/// JSON that may stand inside of a script element.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    mutating func open(_ bracket: String) {
        separate()
        bytes.append(contentsOf: bracket.utf8)
        needsComma = false
    }

    mutating func close(_ bracket: String) {
        bytes.append(contentsOf: bracket.utf8)
        needsComma = true
    }

    mutating func key(_ name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    mutating func member(_ name: String, _ value: Int) {
        key(name)
        number(Int64(value))
    }

    mutating func list<Element>(
        _ name: String, _ elements: [Element], _ write: (inout JSONText, Element) -> Void
    ) {
        key(name)
        open("[")
        for element in elements { write(&self, element) }
        close("]")
    }

    mutating func number(_ value: Int64) {
        separate()
        bytes.append(contentsOf: String(value).utf8)
    }

    /// A string in which nothing ends a script element, a line or the string itself.
    mutating func string(_ text: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\", "<", ">", "&", "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}",
                "\u{2029}", "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}":
                let digits = String(scalar.value, radix: 16)
                let zeros = String(repeating: "0", count: 4 - digits.count)
                bytes.append(contentsOf: "\\u\(zeros)\(digits)".utf8)
            default:
                bytes.append(contentsOf: String(scalar).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }
}
