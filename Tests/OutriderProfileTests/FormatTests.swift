// SPDX-License-Identifier: Apache-2.0
// Tests of profile formats, with arbitrary names.

import OutriderProfile
import Testing

/// Names for addresses, without a binary.
private func symbols(_ names: [UInt: String]) -> Symbols {
    Symbols(modules: [], frames: names.mapValues { Frame(name: $0, mangledName: $0) })
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

private let names = symbols([1: "leaf(_:)", 2: "middle; and\nmore", 3: "main"])

private var sampled: Profile {
    var profile = heapProfile()
    profile.comments = ["allocator: a\nb"]
    profile.add(stack: [1, 3], values: [4, 40, 2, 20])
    profile.add(stack: [1, 2, 3], values: [1, 10, 1, 10])
    profile.add(
        stack: [1, 2, 3], values: [0, 0, 3, 90], labels: [.init("swift_type", "Shop.Box")])
    profile.add(stack: [0x99, 3], values: [0, 0, -1, -5])
    profile.add(stack: [], values: [1, 1, 1, 1])
    return profile
}

@Suite struct FormatTests {
    @Test func `text lists the largest stacks first, with the values of a heap in Go's order`() {
        #expect(
            text(sampled.rendered(as: .text, title: "heap", names)) == """
                heap profile: 6: 116 [6: 51] @ heap/1024
                # types: alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes
                # allocator: a b

                3: 90 [0: 0] @ 0x1 0x2 0x3
                # swift_type: Shop.Box
                #\t0x1\tleaf(_:)
                #\t0x2\tmiddle; and more
                #\t0x3\tmain

                2: 20 [4: 40] @ 0x1 0x3
                #\t0x1\tleaf(_:)
                #\t0x3\tmain

                1: 10 [1: 10] @ 0x1 0x2 0x3
                #\t0x1\tleaf(_:)
                #\t0x2\tmiddle; and more
                #\t0x3\tmain

                1: 1 [1: 1] @ 

                -1: -5 [0: 0] @ 0x99 0x3
                #\t0x99\t0x99
                #\t0x3\tmain

                """)
    }

    @Test func `each collapsed stack is one line, outermost first, without negative values`() {
        #expect(
            text(sampled.rendered(as: .collapsed, title: "heap", names)) == """
                [unknown stack] 1
                main;leaf(_:) 20
                main;middle: and more;leaf(_:) 100

                """)
    }

    @Test func `a profile without samples can be rendered in every format`() {
        for format in ProfileFormat.allCases where format != .collapsed {
            #expect(!heapProfile().rendered(as: format, title: "heap", names).isEmpty)
        }
    }

    @Test func `no name can end the script of a flame graph`() {
        let hostile = "</script><script>alert(1)</script>\u{2028}\"\\'\u{0}&<!--"
        var profile = heapProfile()
        profile.add(stack: [1], values: [1, 1, 1, 1])
        profile.comments = [hostile]
        let page = text(
            profile.rendered(as: .flamegraph, title: hostile, symbols([1: hostile])))
        #expect(page.components(of: "</script>") == 1)
        #expect(page.components(of: "<script>") == 1)
        #expect(!page.contains("alert(1)<"))
        #expect(!page.contains("\u{2028}") && !page.contains("\u{0}"))
        #expect(page.contains(#"\u003c/script\u003e\u003cscript\u003ealert(1)"#))
    }

    @Test func `a flame graph merges stacks from their outermost frames`() {
        let page = text(sampled.rendered(as: .flamegraph, title: "heap", names))
        // all, main, leaf; the branch through middle is larger and comes first.
        #expect(
            page.contains(
                #""names":["all","[unknown stack]","leaf(_:)","middle; and\u000amore","0x99","main"],"#
                    + #""root":[0,[6,51,7,121],[[5,[5,50,6,120],["#
                    + #"[3,[1,10,4,100],[[2,[1,10,4,100],[]]]],[2,[4,40,2,20],[]],[4,[0,0,0,0],[]]"#
                    + #"]],[1,[1,1,1,1],[]]]]}"#))
        #expect(
            page.contains(#""remarks":["allocator: a\u000ab","Decreases are not drawn."]"#))
    }

    @Test func `a flame graph of very many stacks omits its smallest branches and says so`() {
        var profile = heapProfile()
        for number in 1...30_000 {
            profile.add(stack: [UInt(number) + 10, 3], values: [0, 0, 1, Int64(number)])
        }
        let page = text(profile.rendered(as: .flamegraph, title: "heap", symbols([3: "main"])))
        #expect(page.contains("small branches are left out."))
        #expect(page.utf8.count < 3_000_000)
        #expect(page.contains("\"0x753a\"") && page.contains(",[0,0,30000,450015000],[["))
    }
}

extension String {
    /// The number of occurrences of a text.
    fileprivate func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.range(of: text) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }

    fileprivate func contains(_ text: String) -> Bool { self[...].range(of: text) != nil }
}

extension Substring {
    fileprivate func range(of text: String) -> Range<Index>? {
        let (mine, wanted) = (Array(utf8), Array(text.utf8))
        guard wanted.count <= mine.count else { return nil }
        for start in 0...(mine.count - wanted.count)
        where mine[start] == wanted[0] && mine[start..<start + wanted.count].elementsEqual(wanted) {
            let from = utf8.index(startIndex, offsetBy: start)
            return from..<utf8.index(from, offsetBy: wanted.count)
        }
        return nil
    }
}
