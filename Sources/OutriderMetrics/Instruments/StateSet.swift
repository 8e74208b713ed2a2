// SPDX-License-Identifier: Apache-2.0
// A state set: a sample for each state of an enumeration, 1 or 0.

internal import Synchronization

/// The states that something is in, out of a few: the mode of a node, the phase of a rollout.
///
/// ```swift
/// enum Mode: String, LabelValue { case leader, follower, learner }
///
/// let mode = Registry.shared.stateSet("node_mode", help: "What this node is.", Mode.self)
/// mode.move(to: .leader)
/// ```
///
/// Each state is a sample, `node_mode{node_mode="leader"} 1`. The label has the name of the family,
/// as OpenMetrics requires. OpenMetrics exposes the family as a `stateset`, the other formats as a
/// gauge. Thread-safe; a scrape never sees a partial move. A move costs one store.
public final class StateSet<State: LabelValue>: Sendable {
    /// The maximum number of states: one for each bit of a word.
    static var most: Int { UInt64.bitWidth }

    /// The active states, one bit each, in the order of `allCases`.
    private let bits = Atomic<UInt64>(0)
    private let states = Array(State.allCases)

    init() {}

    /// Makes this state the only active one.
    public func move(to state: State) {
        // ORDERING: relaxed, here and below; the states do not guard other memory.
        bits.store(bit(of: state), ordering: .relaxed)
    }

    /// Turns one state on or off; the others stay as they are.
    public func set(_ state: State, _ isOn: Bool) {
        if isOn {
            bits.bitwiseOr(bit(of: state), ordering: .relaxed)
        } else {
            bits.bitwiseAnd(~bit(of: state), ordering: .relaxed)
        }
    }

    /// The active states.
    public var current: [State] {
        let bits = bits.load(ordering: .relaxed)
        return states.enumerated().filter { bits >> UInt64($0.offset) & 1 == 1 }.map(\.element)
    }

    private func bit(of state: State) -> UInt64 {
        let ordinal = states.firstIndex { $0.rawValue == state.rawValue } ?? Self.most
        return ordinal < Self.most ? 1 << UInt64(ordinal) : 0
    }

    /// Adds a sample for each state.
    fileprivate func add(to samples: inout CollectedSamples, _ family: CollectedFamily) {
        let bits = bits.load(ordering: .relaxed)
        for (ordinal, state) in states.enumerated() where ordinal < Self.most {
            samples.add(family, Double(bits >> UInt64(ordinal) & 1), state.rawValue)
        }
    }
}

private struct StateCollector<State: LabelValue>: Collector {
    let family: CollectedFamily
    let states: StateSet<State>

    var name: String { family.name }
    var families: [CollectedFamily] { [family] }

    func collect(into samples: inout CollectedSamples) { states.add(to: &samples, family) }
}

extension Registry {
    /// Registers a state set, with one sample for each case of an enumeration; initially all are 0.
    ///
    /// Never fails: an invalid definition gives an instrument that works but is not exposed. Only
    /// the first 64 states are exposed. A name can have only one state set; a second one is
    /// refused.
    public func stateSet<State: LabelValue>(
        _ name: String, help: String, _ states: State.Type = State.self
    ) -> StateSet<State> {
        let set = StateSet<State>()
        addOrRefuse(
            StateCollector(family: .stateSet(name, help: help), states: set), .callback)
        return set
    }

    /// Registers a state set, or throws; see ``stateSet(_:help:_:)``.
    public func register<State: LabelValue>(
        stateSet name: String, help: String, _ states: State.Type = State.self
    ) throws(RegistrationError) -> StateSet<State> {
        let set = StateSet<State>()
        try add(StateCollector(family: .stateSet(name, help: help), states: set), .callback)
        return set
    }
}
