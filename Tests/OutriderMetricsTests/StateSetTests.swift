// SPDX-License-Identifier: Apache-2.0
// Tests of state sets, a type in OpenMetrics and a gauge in the text format.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct StateSetTests {
    enum Mode: String, LabelValue {
        case leader, follower, learner
    }

    private let registry = Registry.bare

    @Test func `a move clears one state and sets another`() throws {
        let mode = registry.stateSet("node_mode", help: "What it is.", Mode.self)
        try registry.expect("node_mode", ["node_mode": "leader"], 0)
        #expect(mode.current.isEmpty)
        mode.move(to: .leader)
        mode.move(to: .learner)
        #expect(mode.current == [.learner])
        try registry.expect("node_mode", ["node_mode": "leader"], 0)
        try registry.expect("node_mode", ["node_mode": "learner"], 1)
        try registry.expect("node_mode", ["node_mode": "follower"], 0)
    }

    @Test func `several states may be set at once`() {
        let mode = registry.stateSet("node_mode", help: "What it is.", Mode.self)
        mode.set(.leader, true)
        mode.set(.learner, true)
        #expect(mode.current == [.leader, .learner])
        mode.set(.leader, false)
        #expect(mode.current == [.learner])
    }

    @Test func `a state set is a stateset in OpenMetrics and a gauge in the text format`() throws {
        let mode = registry.stateSet("node_mode", help: "What it is.", Mode.self)
        mode.move(to: .follower)
        #expect(registry.text().contains("# TYPE node_mode gauge\n"))
        let text = registry.openMetricsText()
        #expect(text.contains("# TYPE node_mode stateset\n"))
        let exposition = try Exposition(parsing: text, as: .openMetrics)
        #expect(exposition.families.map(\.type) == [.stateSet])
    }

    @Test func `a collector may fill a state set with its own labels`() throws {
        struct Nodes: Collector {
            static let modes = CollectedFamily.stateSet("mode", help: "Modes.", labels: ["node"])
            let name = "nodes"
            var families: [CollectedFamily] { [Self.modes] }
            func collect(into samples: inout CollectedSamples) {
                samples.add(Self.modes, 1, "a", "leader")
                samples.add(Self.modes, 0, "a", "follower")
            }
        }
        try registry.register(Nodes())
        try registry.expect("mode", ["node": "a", "mode": "leader"], 1)
        _ = try Exposition(parsing: registry.openMetricsText(), as: .openMetrics)
    }

    @Test func `a second state set of the same name is refused`() throws {
        _ = try registry.register(stateSet: "mode", help: "Modes.", Mode.self)
        #expect(throws: RegistrationError.self) {
            _ = try registry.register(stateSet: "mode", help: "Modes.", Mode.self)
        }
    }
}
