// SPDX-License-Identifier: Apache-2.0
// Tests of very large profiles: each format has a limit, and its totals include the omitted stacks.

import OutriderProfile
import Testing

@Suite struct FormatLimitTests {
    private static let stacks = 4_000
    private static let depth = 100

    /// Stacks of unnamed addresses, each a byte larger than the previous one.
    private static let profile: Profile = {
        var profile = heapProfile()
        for number in 0..<stacks {
            var stack: [UInt] = []
            for frame in 0..<depth { stack.append(0x7F12_3456_0000 + UInt(number + frame) * 16) }
            profile.add(stack: stack, values: [2, 2_000_000, 1, 1_000_000 + Int64(number)])
        }
        return profile
    }()

    private static let total = (0..<stacks).reduce(Int64(0)) { $0 + 1_000_000 + Int64($1) }

    private static func text(_ format: ProfileFormat) -> [Substring] {
        let none = Symbols(modules: [], frames: [:])
        let bytes = profile.rendered(as: format, title: "heap", none)
        #expect(bytes.count < 5 << 20)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    @Test func `collapsed stacks beyond the limit are one line, and the total is correct`() throws {
        let lines = Self.text(.collapsed)
        let sum = lines.reduce(Int64(0)) { $0 + (Int64($1.split(separator: " ").last ?? "") ?? 0) }
        #expect(lines.count > 1_000 && lines.count < Self.stacks && sum == Self.total)
        let last = try #require(lines.last)
        #expect(last.hasPrefix("[smaller stacks, left out] "))
        // The largest stack is included.
        #expect(lines.contains { $0.hasSuffix(" \(1_000_000 + Self.stacks - 1)") })
        #expect(!lines.contains { $0.hasSuffix(" 1000000") })
    }

    @Test func `text beyond the limit reports what it omits`() throws {
        let lines = Self.text(.text)
        let last = try #require(lines.last)
        let words = last.split(separator: " ")
        #expect(last.hasPrefix("# ") && last.contains("smaller stacks are left out: "))
        let heads = lines.filter { $0.contains(" @ 0x") }
        let leftOut = try #require(Int(words[1]))
        #expect(heads.count + leftOut == Self.stacks)
        var sum: Int64 = 0
        for head in heads { sum += Int64(head.split(separator: " ")[1]) ?? 0 }
        let rest = try #require(Int64(words[words.count - 3]))
        #expect(sum + rest == Self.total)
    }

    @Test func `adjacent frames of one function are merged in collapsed stacks`() {
        var profile = heapProfile()
        profile.add(stack: [1, 3], values: [1, 1, 1, 10])
        profile.add(stack: [2, 3], values: [1, 1, 1, 5])
        profile.add(stack: [3], values: [1, 1, 1, 1])
        let same = Frame(name: "leaf")
        let symbols = Symbols(modules: [], frames: [1: same, 2: same, 3: Frame(name: "main")])
        let bytes = profile.rendered(as: .collapsed, title: "heap", symbols)
        #expect(String(decoding: bytes, as: UTF8.self) == "main 1\nmain;leaf 15\n")
    }

    @Test func `of equally large branches, as many are drawn as the limit allows`() {
        var profile = heapProfile()
        for number in 0..<2_000 {
            var stack: [UInt] = []
            for frame in 0..<20 { stack.append(UInt(1 + number * 20 + frame)) }
            profile.add(stack: stack, values: [1, 1, 1, 1])
        }
        let none = Symbols(modules: [], frames: [:])
        let bytes = profile.rendered(as: .flamegraph, title: "heap", none)
        let page = String(decoding: bytes, as: UTF8.self)
        // 40,000 branches, plus the root.
        #expect(page.contains("\"20001 small branches are left out.\""))
        #expect(page.split(separator: ",[1,1,1,1],[").count == 20_000)
    }

    @Test func `the sums of a flame graph include omitted branches`() {
        let none = Symbols(modules: [], frames: [:])
        let bytes = Self.profile.rendered(as: .flamegraph, title: "heap", none)
        let page = String(decoding: bytes, as: UTF8.self)
        let sums = "[\(2 * Self.stacks),\(Self.stacks * 2_000_000),\(Self.stacks),\(Self.total)]"
        #expect(page.contains("\"root\":[0,\(sums),[["))
        #expect(page.contains("small branches are left out."))
    }
}
