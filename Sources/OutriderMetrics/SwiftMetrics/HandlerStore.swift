// SPDX-License-Identifier: Apache-2.0
// The swift-metrics handlers of a registry: one for each series, with a count of its owners.
//
// A handler belongs to an instrument, and the family decides which instrument a set of labels gets.
// So the limits of a family apply here too: where many label sets share one instrument, they share
// one handler.
//
// The lock is for creating and destroying handlers. A family is registered and a series is found
// before it is taken, since both may log, and a log handler is code of the service. Inside it, the
// table of one family and a part of the cache are locked; it is never taken inside another lock.

internal import OutriderThreading

/// The handlers and families that swift-metrics uses in a registry; thread-safe.
final class HandlerStore: Sendable {
    /// The maximum number of swift-metrics names in a registry; further ones are not exposed.
    static let nameLimit = 10_000
    /// How many spellings of the name and dimensions of one series are cached.
    private static let spellingLimit = 8
    /// Below this number of handlers, none is checked for removal.
    private static let fewHandlers = 1_024

    private struct Entry: Sendable {
        let handler: SeriesHandler
        /// The hashes under which it is cached.
        var hashes: [UInt64] = []
    }

    private struct State: Sendable {
        var families: [HandlerName: FamilyCore] = [:]
        /// By instrument, which its handler keeps alive.
        var entries: [ObjectIdentifier: Entry] = [:]
        /// Handlers that are not exposed: one for each name, and one for each kind past the limit.
        var unseen: [HandlerName: SeriesHandler] = [:]
        var nextSweep = fewHandlers
    }

    private let state = Guarded(State())
    private let cache = HandlerCache()
    private let diagnostics: Diagnostics

    init(_ diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
    }

    /// The number of handlers that have an owner.
    var count: Int { state.withLock { $0.entries.count } }

    // MARK: - Creation

    /// The handler for this name and these dimensions, with one more owner.
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
                        already registered with the labels \(definition.labels); use these \
                        dimensions or another name
                        """)
            }
            guard let (key, cuts) = labels.rendered(longest: diagnostics.longestValue) else {
                diagnostics.refuse(
                    .labelsTooLong,
                    "metric \"\(definition.name)\" got dimensions of over 64 KiB; shorten them"
                )
                return unseen(name, rules)
            }
            diagnostics.noteCuts(cuts, of: definition.name)
            // The cache keeps the dimensions as given, so none that are cut.
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
            diagnostics.refuse(error, "its swift-metrics values are not exposed")
            return unseen(name, rules)
        }
    }

    /// The family for a name; registered if it is missing or was unregistered.
    private func family(
        _ name: HandlerName, _ rules: NamingRules, _ registry: Registry
    ) throws(RegistrationError) -> FamilyCore {
        let (known, count) = state.withLock { ($0.families[name], $0.families.count) }
        if let known, known.isRegistered { return known }
        guard known != nil || count < Self.nameLimit else {
            throw RegistrationError(
                code: .tooManyNames, metric: "*",
                advice: """
                    swift-metrics uses more than \(Self.nameLimit) names; move what varies into \
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
        // A series that was found may be removed before its handler is stored; then it is created
        // again. If the instrument still has no series after that, it stands for labels that do not
        // fit.
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
                // A shared handler is not cached under the labels of each series. Nor is the
                // handler of a family that was unregistered before its removals were read: nothing
                // would invalidate the entry.
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

    /// A handler that works but is not exposed: one for each name, or one for its kind past the
    /// limit.
    private func unseen(_ name: HandlerName, _ rules: NamingRules) -> SeriesHandler {
        let made: (HandlerName) -> SeriesHandler = { [diagnostics] name in
            let definition = MetricDefinition(
                unchecked: name.form.kind, NamingRules.shown(name.label), help: "", labels: [],
                buckets: .default)
            let core = FamilyCore(
                definition, RegistryContext(diagnostics: diagnostics, clock: SystemMetricClock()))
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

    // MARK: - Destruction

    /// Removes an owner from a handler of this store; the last owner takes the series with it.
    func destroy(_ handler: AnyObject) {
        guard let handler = handler as? SeriesHandler else { return }
        state.withLock { state in
            let id = ObjectIdentifier(handler.instrument)
            guard let entry = state.entries[id], entry.handler === handler, handler.disown()
            else { return }
            forget(entry, &state)
            // A series registered through the direct API is not removed here.
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

    /// Drops the handlers whose series the direct API removed, whenever the number of handlers has
    /// doubled.
    private func sweepIfWorthwhile(_ state: inout State) {
        guard state.entries.count >= state.nextSweep else { return }
        for entry in state.entries.values where !entry.handler.isCurrent { forget(entry, &state) }
        state.nextSweep = max(Self.fewHandlers, state.entries.count * 2)
    }
}
