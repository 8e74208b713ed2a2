// SPDX-License-Identifier: Apache-2.0
// Tests of collectors: each fills the families it declared, and its errors do not affect other
// metrics.

import OutriderMetrics
import Testing

@Suite struct CollectorTests {
    private static let depth = CollectedFamily.gauge(
        "queue_depth", help: "Items waiting.", labels: ["queue"])
    private static let done = CollectedFamily.counter("queue_done", help: "Items done.")

    @Test func `a collector's families are printed with its samples`() throws {
        let registry = Registry.bare
        let collector = TestCollector(families: [Self.done, Self.depth]) { samples in
            samples.add(Self.depth, 3, "mail")
            samples.add(Self.depth, 0.5, "p\"rint\n")
            samples.add(Self.done, 12)
            samples.add(Self.depth, -1, "")
        }
        try registry.register(collector)
        registry.gauge("r", help: "R.").set(1)
        #expect(
            registry.text() == #"""
                # HELP queue_depth Items waiting.
                # TYPE queue_depth gauge
                queue_depth{queue="mail"} 3
                queue_depth{queue="p\"rint\n"} 0.5
                queue_depth -1
                # HELP queue_done_total Items done.
                # TYPE queue_done_total counter
                queue_done_total 12
                # HELP r R.
                # TYPE r gauge
                r 1

                """#)
    }

    @Test func `label values are given in the order of the declaration`() {
        let registry = Registry.bare
        let family = CollectedFamily.gauge("x", help: "X.", labels: ["zone", "area", "kind"])
        registry.add(TestCollector(families: [family]) { $0.add(family, 1, "z", "a", "k") })
        #expect(registry.sample(#"x{area="a",kind="k",zone="z"}"#) == "1")
    }

    @Test func `a second sample with the same labels is refused and counted`() {
        let registry = Registry(log: .silent)
        registry.add(
            TestCollector(families: [Self.depth, Self.done]) { samples in
                samples.add(Self.depth, 1, "mail")
                samples.add(Self.depth, 2, "mail")
                samples.add(Self.done, 3)
                samples.add(Self.done, 4)
            })
        #expect(registry.sample(#"queue_depth{queue="mail"}"#) == "1")
        #expect(registry.sample("queue_done_total") == "3")
        let text = registry.text()
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("queue_d") }.count == 2)
        #expect(registry.observationsRefused("duplicate").flatMap(Int.init) ?? 0 >= 2)
    }

    @Test func `a family without samples is not printed`() {
        let registry = Registry.bare
        registry.add(TestCollector(families: [Self.depth, Self.done]) { $0.add(Self.done, 1) })
        #expect(
            registry.text() == """
                # HELP queue_done_total Items done.
                # TYPE queue_done_total counter
                queue_done_total 1

                """)
    }

    @Test func `a collector that throws is omitted, and all else is served`() {
        let registry = Registry.bare
        let broken = TestCollector(name: "broken", families: [Self.done]) { samples in
            samples.add(Self.done, 1)
            throw TestFailure()
        }
        registry.add(broken)
        registry.add(
            TestCollector(name: "fine", families: [Self.depth]) { $0.add(Self.depth, 3, "mail") })
        registry.gauge("z", help: "Z.").set(1)
        #expect(
            registry.text() == """
                # HELP queue_depth Items waiting.
                # TYPE queue_depth gauge
                queue_depth{queue="mail"} 3
                # HELP z Z.
                # TYPE z gauge
                z 1

                """)
    }

    @Test func `a collector's failures are all counted, and logged once until it works`() {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        registry.add(
            TestCollector(name: "disk", families: [Self.done]) { _ in throw TestFailure() })
        registry.add(TestCollector(name: "fine", families: [Self.depth]) { _ in })
        _ = registry.text()
        _ = registry.text()
        _ = registry.respond(names: ["outrider_collector_failures_total"])
        let failures = "outrider_collector_failures_total"
        #expect(registry.sample(#"\#(failures){collector="disk"}"#) == "3")
        #expect([nil, "0"].contains(registry.sample(#"\#(failures){collector="fine"}"#)))
        #expect(recorded.lines.count == 1)
        #expect(recorded.lines.allSatisfy { $0.hasPrefix("warning: ") })
        #expect(recorded.lines.first?.contains("disk") == true)
        #expect(recorded.lines.first?.contains("the disk is on fire") == true)
    }

    @Test func `a collector that failed once is called again`() {
        let registry = Registry.bare
        let flag = registry.gauge("flag", help: "Flag.")
        registry.add(
            TestCollector(families: [Self.done]) { samples in
                guard flag.value > 0 else { throw TestFailure() }
                samples.add(Self.done, 5)
            })
        #expect(registry.sample("queue_done_total") == nil)
        flag.set(1)
        #expect(registry.sample("queue_done_total") == "5")
    }

    @Test func `a wrong number of labels is refused and counted, and the rest is served`() {
        let registry = Registry(log: .silent)
        registry.add(
            TestCollector(families: [Self.depth, Self.done]) { samples in
                samples.add(Self.depth, 1)
                samples.add(Self.depth, 2, "a", "b")
                samples.add(Self.done, 3, "a")
                samples.add(Self.depth, 4, "mail")
            })
        let body = registry.respond(names: ["queue_depth", "queue_done"]).body
        #expect(
            String(decoding: body, as: UTF8.self) == """
                # HELP queue_depth Items waiting.
                # TYPE queue_depth gauge
                queue_depth{queue="mail"} 4

                """)
        registry.unregister("queue_done")
        #expect(registry.observationsRefused("wrong_labels") == "3")
    }

    @Test func `an undeclared family is refused and counted, and the rest is served`() {
        let registry = Registry(log: .silent)
        registry.add(
            TestCollector(families: [Self.done]) { samples in
                samples.add(Self.depth, 1, "mail")
                samples.add(Self.done, 3)
            })
        let body = registry.respond(names: ["queue_depth", "queue_done"]).body
        #expect(
            String(decoding: body, as: UTF8.self) == """
                # HELP queue_done_total Items done.
                # TYPE queue_done_total counter
                queue_done_total 3

                """)
        registry.unregister("queue_done")
        #expect(registry.observationsRefused("undeclared_family") == "1")
    }

    @Test func `a counter sample that is negative or NaN is refused and counted`() {
        let registry = Registry(log: .silent)
        registry.add(
            TestCollector(families: [Self.done]) { samples in
                samples.add(Self.done, -1)
                samples.add(Self.done, Double.nan)
            })
        #expect(registry.respond(names: ["queue_done"]).body == [])
        registry.unregister("queue_done")
        #expect(registry.observationsRefused("negative") == "1")
        #expect(registry.observationsRefused("not_a_number") == "1")
    }

    @Test func `overlong labels are refused and counted, and the rest is served`() {
        let registry = Registry(log: .silent)
        let label = "l" + String(repeating: "o", count: 1_000) + "ng"
        let wide = CollectedFamily.gauge(
            "wide", help: "W.", labels: (0..<70).map { "\(label)\($0)" })
        registry.add(
            TestCollector(families: [Self.depth, wide]) { samples in
                // The names alone take more than 64 KiB.
                samples.add(
                    wide, 1,
                    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
                    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
                    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
                    "", "", "", "", "", "", "", "", "", "x")
                samples.add(Self.depth, 2, "mail")
            })
        let body = registry.respond(names: ["queue_depth"]).body
        let lines = String(decoding: body.prefix(1_000), as: UTF8.self).split(separator: "\n")
        #expect(lines.dropFirst(2) == [#"queue_depth{queue="mail"} 2"#])
        registry.unregister("queue_depth")
        #expect(registry.observationsRefused("labels_too_long") == "1")
    }

    @Test func `a collector may register metrics while it is called`() {
        let registry = Registry.bare
        registry.add(
            TestCollector(families: [Self.done]) { samples in
                registry.counter("late", help: "Late.").increment()
                registry.add(
                    TestCollector(name: "inner", families: [Self.depth]) {
                        $0.add(Self.depth, 1, "mail")
                    })
                samples.add(Self.done, 1)
            })
        _ = registry.text()
        #expect(registry.sample("late_total") == "2")
        #expect(registry.sample(#"queue_depth{queue="mail"}"#) == "1")
    }

    @Test func `unregistering one of its families removes the whole collector`() {
        let registry = Registry.bare
        registry.add(
            TestCollector(families: [Self.depth, Self.done]) { samples in
                samples.add(Self.depth, 1, "mail")
                samples.add(Self.done, 1)
            })
        #expect(registry.unregister("queue_done"))
        #expect(registry.text() == "")
        #expect(!registry.unregister("queue_depth"))
    }

    @Test func `a collector's thousands of samples are all printed`() {
        let registry = Registry.bare
        registry.add(
            TestCollector(families: [Self.depth]) { samples in
                for queue in 0..<5_000 { samples.add(Self.depth, queue, "q\(queue)") }
            })
        var expected = "# HELP queue_depth Items waiting.\n# TYPE queue_depth gauge\n"
        for queue in 0..<5_000 { expected += "queue_depth{queue=\"q\(queue)\"} \(queue)\n" }
        let isSame = registry.text() == expected
        #expect(isSame)
    }
}
