// SPDX-License-Identifier: Apache-2.0
// Which of some states something is in: a sample for each, 1 or 0.

internal import Synchronization

/// Which of a few states something is in: the mode of a node, the phase of a rollout.
///
/// ```swift
/// enum Mode: String, LabelValue { case leader, follower, learner }
///
/// let mode = Registry.shared.stateSet("node_mode", help: "What this node is.", Mode.self)
/// mode.move(to: .leader)
/// ```
///
/// Each state is a sample, `node_mode{node_mode="leader"} 1`: the label is called as the family, as
/// OpenMetrics has it, in which this is a `stateset`; in the other formats it is a gauge. Thread-safe;
/// a scrape never sees half of a move. Costs one store.
public final class StateSet<State: LabelValue>: Sendable {
    /// As many states as a word has bits.
    static var most: Int { UInt64.bitWidth }

    /// A bit for each state that it is in, in the order of all cases.
    private let bits = Atomic<UInt64>(0)
    private let states = Array(State.allCases)

    init() {}

    /// It is in this state now, and in no other.
    public func move(to state: State) {
        // ORDERING: relaxed, here and below; the states guard no memory.
        bits.store(bit(of: state), ordering: .relaxed)
    }

    /// It is in this state too, or not any more; the others stay.
    public func set(_ state: State, _ isOn: Bool) {
        if isOn {
            bits.bitwiseOr(bit(of: state), ordering: .relaxed)
        } else {
            bits.bitwiseAnd(~bit(of: state), ordering: .relaxed)
        }
    }

    /// The states that it is in.
    public var current: [State] {
        let bits = bits.load(ordering: .relaxed)
        return states.enumerated().filter { bits >> UInt64($0.offset) & 1 == 1 }.map(\.element)
    }

    private func bit(of state: State) -> UInt64 {
        let place = states.firstIndex { $0.rawValue == state.rawValue } ?? Self.most
        return place < Self.most ? 1 << UInt64(place) : 0
    }

    /// Adds a sample for each state.
    fileprivate func add(to samples: inout CollectedSamples, _ family: CollectedFamily) {
        let bits = bits.load(ordering: .relaxed)
        for (place, state) in states.enumerated() where place < Self.most {
            samples.add(family, Double(bits >> UInt64(place) & 1), state.rawValue)
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
    /// Which of the states of an enumeration something is in; none at first.
    ///
    /// Never fails: a definition that cannot be accepted gives an instrument that works but is not
    /// exposed. Of more than 64 states the others are left out. A name has one; a second is refused.
    public func stateSet<State: LabelValue>(
        _ name: String, help: String, _ states: State.Type = State.self
    ) -> StateSet<State> {
        let set = StateSet<State>()
        addOrRefuse(
            StateCollector(family: .stateSet(name, help: help), states: set), .callback)
        return set
    }

    /// Which of the states of an enumeration something is in; see ``stateSet(_:help:_:)``.
    public func register<State: LabelValue>(
        stateSet name: String, help: String, _ states: State.Type = State.self
    ) throws(RegistrationError) -> StateSet<State> {
        let set = StateSet<State>()
        try add(StateCollector(family: .stateSet(name, help: help), states: set), .callback)
        return set
    }
}
