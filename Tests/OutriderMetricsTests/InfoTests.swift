// SPDX-License-Identifier: Apache-2.0
// Tests of infos: one series of value 1, whose labels can be replaced.

import OutriderMetrics
import Testing

@Suite struct InfoTests {
    @Test func `overlong values are refused, and the old ones stay`() {
        let registry = Registry(log: .silent)
        let names = ["v"] + (0..<64).map { "w\($0)" }
        func values(_ value: String) -> [String: String] {
            Dictionary(uniqueKeysWithValues: names.map { ($0, $0 == "v" ? "1" : value) })
        }
        let info = registry.info("app", help: "App.", values(""))
        info.set(values(String(repeating: "x", count: 10_000)))
        #expect(registry.sample("app_info{v=\"1\"}") == "1")
        #expect(registry.observationsRefused("labels_too_long") == "1")
    }

    @Test func `an info is a gauge of value 1`() {
        let registry = Registry.bare
        registry.info("build", help: "The build.", ["version": "1.2", "commit": "abc"])
        #expect(
            registry.text() == """
                # HELP build_info The build.
                # TYPE build_info gauge
                build_info{commit="abc",version="1.2"} 1

                """)
    }

    @Test func `the suffix is optional`() {
        let registry = Registry.bare
        registry.info("build_info", help: "The build.", ["version": "1"])
        registry.info("build", help: "The build.", ["version": "1"])
        #expect(
            registry.text() == """
                # HELP build_info The build.
                # TYPE build_info gauge
                build_info{version="1"} 1

                """)
    }

    @Test func `set values replace the old ones`() {
        let registry = Registry.bare
        let leader = registry.info("leader", help: "Who leads.", ["node": "a", "zone": "x"])
        leader.set(["node": "b", "zone": "y"])
        #expect(lines(registry) == [#"leader_info{node="b",zone="y"} 1"#])
    }

    @Test func `the same values may be set again`() {
        let registry = Registry.bare
        let leader = registry.info("leader", help: "Who leads.", ["node": "a"])
        leader.set(["node": "a"])
        leader.set(["node": "b"])
        leader.set(["node": "a"])
        #expect(lines(registry) == [#"leader_info{node="a"} 1"#])
    }

    @Test func `a missing value becomes empty`() {
        let registry = Registry.bare
        let leader = registry.info("leader", help: "Who leads.", ["node": "a", "zone": "x"])
        leader.set(["zone": "y"])
        #expect(lines(registry) == [#"leader_info{zone="y"} 1"#])
        leader.set([:])
        #expect(lines(registry) == ["leader_info 1"])
    }

    @Test func `an unknown label is refused and counted`() {
        let registry = Registry(log: .silent)
        let leader = registry.info("leader", help: "Who leads.", ["node": "a"])
        leader.set(["node": "b", "planet": "mars"])
        #expect(registry.observationsRefused("wrong_labels") == "1")
        #expect(!registry.text().contains("mars"))
    }

    @Test func `registering again replaces the values`() {
        let registry = Registry.bare
        registry.info("leader", help: "Who leads.", ["node": "a"])
        registry.info("leader", help: "Who leads.", ["node": "b"])
        #expect(lines(registry) == [#"leader_info{node="b"} 1"#])
    }

    @Test func `two handles of one info replace each other's values`() {
        let registry = Registry.bare
        let first = registry.info("leader", help: "Who leads.", ["node": "a"])
        let second = registry.info("leader", help: "Who leads.", ["node": "a"])
        second.set(["node": "b"])
        first.set(["node": "c"])
        #expect(lines(registry) == [#"leader_info{node="c"} 1"#])
    }

    @Test func `an info may have no labels`() {
        let registry = Registry.bare
        registry.info("build", help: "The build.", [:])
        #expect(lines(registry) == ["build_info 1"])
    }

    @Test func `many changes leave a single series`() {
        let registry = Registry.bare
        let leader = registry.info("leader", help: "Who leads.", ["node": ""])
        for term in 0..<1_000 { leader.set(["node": "n\(term)"]) }
        #expect(lines(registry) == [#"leader_info{node="n999"} 1"#])
    }

    /// The registry's samples, without comments.
    private func lines(_ registry: Registry) -> [Substring] {
        registry.text().split(separator: "\n").filter { !$0.hasPrefix("#") }
    }
}
