// SPDX-License-Identifier: Apache-2.0
// The handlers of swift-metrics that a registry has given out: one for each series, counted.
//
// A handler belongs to an instrument, and the family decides which instrument labels get. So what
// a family bounds is bounded here: where many labels share one instrument, they share one handler.
//
// The lock is for making and destroying. Registering and finding a series go before it, since they
// may have something to say, and a log is the user's code. Taken inside of it: the table of one
// family, and a part of the cache. Taken outside of it: nothing.

internal import OutriderThreading

/// What swift-metrics holds of a registry; thread-safe.
final class HandlerStore: Sendable {
    /// Names that swift-metrics can have in a registry; more are not exposed.
    static let nameLimit = 10_000
    /// Ways to spell the dimensions of one series that are found quickly.
    private static let spellingLimit = 8
    /// Handlers of which none is looked at before there are so many.
    private static let fewHandlers = 1_024

    private struct Entry: Sendable {
        let handler: SeriesHandler
        /// Where the cache has it.
        var hashes: [UInt64] = []
    }

    private struct State: Sendable {
        var families: [HandlerName: FamilyCore] = [:]
        /// By instrument, each kept alive by its handler.
        var entries: [ObjectIdentifier: Entry] = [:]
        /// Handlers that are not exposed, by name, and by kind for those beyond the limit.
        var unseen: [HandlerName: SeriesHandler] = [:]
        var nextSweep = fewHandlers
    }

    private let state = Guarded(State())
    private let cache = HandlerCache()
    private let diagnostics: Diagnostics

    init(_ diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
    }

    /// Handlers that have an owner.
    var count: Int { state.withLock { $0.entries.count } }

    // MARK: - Making

    /// The handler for these, with one more owner.
    @inline(__always)
    func handler(
        _ form: HandlerForm, label: String, dimensions: [(String, String)], rules: NamingRules,
        registry: Registry
    ) -> SeriesHandler {
        let name = HandlerName(form: form, keepsName: rules.naming.keepsNames, label: label)
        let hash = name.hash(with: dimensions)
        if let cached = cache.find(hash), cached.matches(name, dimensions), cached.handler.own() {
            return cached.handler
        }
        return resolve(name, dimensions, hash, rules, registry)
    }

    @inline(never)
    private func resolve(
        _ name: HandlerName, _ dimensions: [(String, String)], _ hash: UInt64,
        _ rules: NamingRules, _ registry: Registry
    ) -> SeriesHandler {
        do throws(RegistrationError) {
            let core = try family(name, rules, registry)
            let labels = rules.labels(of: dimensions)
            let definition = core.definition
            guard definition.hasOpenLabels || definition.labels == labels.names else {
                throw RegistrationError(
                    code: .differentLabels, metric: NamingRules.shown(name.label),
                    advice: """
                        it is registered already, with the labels \(definition.labels); give \
                        these dimensions or use another name
                        """)
            }
            guard let (key, cuts) = labels.rendered(longest: diagnostics.longestValue) else {
                diagnostics.refuse(
                    .labelsTooLong,
                    "metric \"\(definition.name)\" was given dimensions of over 64 KiB; shorten them"
                )
                return unseen(name, rules)
            }
            diagnostics.noteCuts(cuts, of: definition.name)
            // The cache keeps the dimensions as they were given, so not those that are cut.
            let isCacheable =
                !labels.hasDuplicates && cuts == 0
                && dimensions.count <= CachedHandler.mostDimensions
            return handler(in: core, key: key) { handler, removalCount in
                guard isCacheable else { return nil }
                return (
                    CachedHandler(handler, name, dimensions, removalCount: removalCount), hash
                )
            }
        } catch {
            diagnostics.refuse(error, "what swift-metrics records of it is not exposed")
            return unseen(name, rules)
        }
    }

    /// The family for a name, registered if it is not yet, or not any more.
    private func family(
        _ name: HandlerName, _ rules: NamingRules, _ registry: Registry
    ) throws(RegistrationError) -> FamilyCore {
        let (known, count) = state.withLock { ($0.families[name], $0.families.count) }
        if let known, known.isRegistered { return known }
        guard known != nil || count < Self.nameLimit else {
            throw RegistrationError(
                code: .tooManyNames, metric: "*",
                advice: """
                    swift-metrics has more than \(Self.nameLimit) names; give what varies as \
                    dimensions
                    """)
        }
        let definition = try rules.definition(name.form, name.label)
        let core = try registry.core(
            definition, given: NamingRules.shown(name.label), limit: rules.limit)
        state.withLock { $0.families[name] = core }
        return core
    }

    /// The handler of the series with these rendered labels, with one more owner.
    private func handler(
        in core: FamilyCore, key: [UInt8],
        cached: (SeriesHandler, _ removalCount: Int) -> (CachedHandler, UInt64)?
    ) -> SeriesHandler {
        // A series that is found may be removed before its handler is noted down; then it is made
        // again. One that is never there is a stand-in for what does not fit.
        var attempts = 3
        while true {
            attempts -= 1
            let removalCount = core.removalCount
            let instrument = core.instrument(rendered: key)
            let handler = state.withLock { state -> SeriesHandler? in
                let id = ObjectIdentifier(instrument)
                var entry = state.entries[id]
                if entry?.handler.own() != true {
                    let isOwn = core.has(instrument, rendered: key)
                    if !isOwn, !core.isOverflow(instrument), attempts > 0 { return nil }
                    sweepIfWorthwhile(&state)
                    entry = Entry(
                        handler: .make(instrument, of: core, key: isOwn ? key : nil))
                }
                guard var entry else { return nil }
                defer { state.entries[id] = entry }
                // What many share is not noted under the labels of each. Nor is what belongs to a
                // family that was let go before its removals were counted: nothing would tell.
                guard entry.handler.key == key, core.isRegistered,
                    let (cached, hash) = cached(entry.handler, removalCount)
                else { return entry.handler }
                let isNoted = entry.hashes.contains(hash)
                guard isNoted || entry.hashes.count < Self.spellingLimit else {
                    return entry.handler
                }
                if !isNoted { entry.hashes.append(hash) }
                cache.insert(cached, hash)
                return entry.handler
            }
            if let handler { return handler }
        }
    }

    /// A handler that works but is not exposed: one for each name, and one for each kind beyond.
    private func unseen(_ name: HandlerName, _ rules: NamingRules) -> SeriesHandler {
        let made: (HandlerName) -> SeriesHandler = { [diagnostics] name in
            let definition = MetricDefinition(
                unchecked: name.form.kind, NamingRules.shown(name.label), help: "", labels: [],
                buckets: .default)
            let core = FamilyCore(
                definition, Surroundings(diagnostics: diagnostics, clock: SystemMetricClock()))
            return .make(core.detachedInstrument(), of: core, key: nil)
        }
        return state.withLock { state in
            var name = name
            if state.unseen[name] == nil, state.unseen.count >= Self.nameLimit {
                name = HandlerName(form: name.form, keepsName: false, label: "")
            }
            if let handler = state.unseen[name] { return handler }
            let handler = made(name)
            state.unseen[name] = handler
            return handler
        }
    }

    // MARK: - Destroying

    /// Takes an owner from a handler of this store; with the last one its series goes.
    func destroy(_ handler: AnyObject) {
        guard let handler = handler as? SeriesHandler else { return }
        state.withLock { state in
            let id = ObjectIdentifier(handler.instrument)
            guard let entry = state.entries[id], entry.handler === handler, handler.disown()
            else { return }
            forget(entry, &state)
            // What the direct API registered is not ours to remove.
            guard let key = handler.key, handler.core.definition.hasOpenLabels,
                handler.core.has(handler.instrument, rendered: key)
            else { return }
            handler.core.remove(rendered: key)
        }
    }

    private func forget(_ entry: Entry, _ state: inout State) {
        state.entries[ObjectIdentifier(entry.handler.instrument)] = nil
        for hash in entry.hashes { cache.remove(entry.handler, hash) }
    }

    /// Lets go of handlers whose series the direct API removed, once there may be as many of those
    /// as of others.
    private func sweepIfWorthwhile(_ state: inout State) {
        guard state.entries.count >= state.nextSweep else { return }
        for entry in state.entries.values where !entry.handler.isCurrent { forget(entry, &state) }
        state.nextSweep = max(Self.fewHandlers, state.entries.count * 2)
    }
}
