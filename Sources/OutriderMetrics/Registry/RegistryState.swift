// SPDX-License-Identifier: Apache-2.0
// The names in a registry, their owners, and their order in a scrape.

/// The state that a registry's lock guards.
struct RegistryState: Sendable {
    enum Owner: Sendable {
        case instruments(FamilyCore)
        case collector(CollectionPlan)
    }

    /// Holds removed objects, so that the caller can release them outside the lock.
    struct Removed: Sendable {
        private let owner: Owner
        private let snapshot: RegistrySnapshot?

        fileprivate init(owner: Owner, snapshot: RegistrySnapshot?) {
            self.owner = owner
            self.snapshot = snapshot
        }
    }

    /// The owner of each family, by the family's name in the text format.
    private var owners: [String: Owner] = [:]
    /// The family that each sample name belongs to: `x_bucket` belongs to the histogram `x`.
    private var families: [String: String] = [:]
    private var sorted: RegistrySnapshot?

    /// The family with this definition, created if missing; an existing family keeps its limit.
    mutating func findOrAdd(
        _ definition: MetricDefinition, given name: String, limit: SeriesLimit = .default,
        _ context: RegistryContext
    ) throws(RegistrationError) -> FamilyCore {
        if let taken = taken(by: definition) {
            guard case .instruments(let core) = owners[taken] else {
                throw RegistrationError(
                    code: .nameTaken, metric: name,
                    advice: "a callback or collector exposes \(taken) already; choose another name")
            }
            guard core.definition.isNamed(like: definition) else { throw clash(name, with: taken) }
            if let error = core.definition.conflict(with: definition, given: name) { throw error }
            return core
        }
        let core = FamilyCore(definition, limit: limit, context)
        claim(definition, for: .instruments(core))
        return core
    }

    /// Adds a collector and its families; all of them or, if one is refused, none.
    mutating func add(_ plan: CollectionPlan) throws(RegistrationError) {
        if plan.origin == .collector,
            plans.contains(where: { $0.origin == .collector && $0.name == plan.name })
        {
            throw RegistrationError(
                code: .nameTaken, metric: plan.name,
                advice: "another collector has this name; choose another")
        }
        var own: Set<String> = []
        for family in plan.families {
            let definition = family.definition
            if let taken = taken(by: definition) { throw clash(family.givenName, with: taken) }
            for sample in Set(definition.sampleNames) where !own.insert(sample).inserted {
                throw clash(family.givenName, with: sample)
            }
        }
        for family in plan.families { claim(family.definition, for: .collector(plan)) }
    }

    /// Removes a family, or all families of the collector that fills it.
    ///
    /// - Returns: The removed objects, for release without a lock: the last reference to a callback
    ///   may free an object whose `deinit` calls the registry. Nil if there was no such family.
    mutating func remove(_ name: String) -> Removed? {
        guard let family = families[name], let owner = owners[family] else { return nil }
        let removed = Removed(owner: owner, snapshot: sorted)
        let definitions =
            switch owner {
            case .instruments(let core): [core.definition]
            case .collector(let plan): plan.families.map(\.definition)
            }
        guard definitions.contains(where: { $0.isCalled(name) }) else {
            return nil
        }
        if case .instruments(let core) = owner { core.noteUnregistration() }
        for definition in definitions {
            owners[definition.name] = nil
            for sample in definition.sampleNames { families[sample] = nil }
        }
        sorted = nil
        return removed
    }

    /// All families by name; sorted again only after a change.
    mutating func snapshot() -> RegistrySnapshot {
        if let sorted { return sorted }
        var entries: [RegistrySnapshot.Entry] = []
        let plans = self.plans
        for case .instruments(let core) in owners.values { entries.append(.instruments(core)) }
        for (index, plan) in plans.enumerated() {
            for family in plan.families.indices {
                entries.append(.collected(plan: index, family: family))
            }
        }
        let snapshot = RegistrySnapshot(entries: entries, plans: plans)
        sorted = snapshot
        return snapshot
    }

    /// All collectors, without duplicates.
    private var plans: [CollectionPlan] {
        var found: [ObjectIdentifier: CollectionPlan] = [:]
        for case .collector(let plan) in owners.values { found[ObjectIdentifier(plan)] = plan }
        return Array(found.values)
    }

    private func taken(by definition: MetricDefinition) -> String? {
        // Check the family's own name first: it makes better advice.
        families[definition.name]
            ?? definition.sampleNames.lazy.compactMap { families[$0] }.first
    }

    private mutating func claim(_ definition: MetricDefinition, for owner: Owner) {
        owners[definition.name] = owner
        for sample in definition.sampleNames { families[sample] = definition.name }
        sorted = nil
    }

    private func clash(_ name: String, with taken: String) -> RegistrationError {
        RegistrationError(
            code: .nameTaken, metric: name,
            advice: "its samples would collide with those of \(taken); choose another name")
    }
}

/// The families of a registry at one moment, sorted by name.
struct RegistrySnapshot: Sendable {
    enum Entry: Sendable {
        case instruments(FamilyCore)
        case collected(plan: Int, family: Int)
    }

    let entries: [Entry]
    let plans: [CollectionPlan]

    init(entries: [Entry], plans: [CollectionPlan]) {
        self.plans = plans
        self.entries = entries.sorted { first, second in
            Self.name(of: first, plans) < Self.name(of: second, plans)
        }
    }

    /// The definition of an entry.
    func definition(of entry: Entry) -> MetricDefinition {
        switch entry {
        case .instruments(let core): core.definition
        case .collected(let plan, let family): plans[plan].families[family].definition
        }
    }

    private static func name(of entry: Entry, _ plans: [CollectionPlan]) -> String {
        switch entry {
        case .instruments(let core): core.definition.name
        case .collected(let plan, let family): plans[plan].families[family].definition.name
        }
    }
}
