// SPDX-License-Identifier: Apache-2.0
// One scrape: ask the collectors, then print everything into one buffer.

internal import OutriderThreading

/// A scrape of a registry, from the first collector to the last byte.
struct Scrape {
    private let registry: Registry
    private let style: ExpositionStyle
    private let snapshot: RegistrySnapshot
    private let entries: [RegistrySnapshot.Entry]

    /// A scrape of all families, or of those that have one of these names.
    init(_ registry: Registry, style: ExpositionStyle, names: [String]) {
        self.registry = registry
        self.style = style
        let snapshot = registry.snapshot
        self.snapshot = snapshot
        if names.isEmpty {
            entries = snapshot.entries
        } else {
            let wanted = Set(names)
            entries = snapshot.entries.filter { entry in
                snapshot.definition(of: entry).sampleNames.contains(where: wanted.contains)
            }
        }
    }

    /// The exposition in bytes.
    func render(capacity: Int? = nil) -> [UInt8] { render(capacity: capacity) { $0 } }

    /// What `body` makes of the exposition in bytes.
    ///
    /// Scrapes that differ collect side by side, and are printed one after the other: so the bytes of
    /// one of them are there, and what became of the others, however many come at once.
    ///
    /// - Parameters:
    ///   - limit: How long collectors may take, and twice as long as another's printing is waited for.
    ///   - capacity: Room to start with; an estimate from the series if nil. Should it not do,
    ///     everything is printed again with twice the room.
    func render<Result>(
        within limit: Duration = ScrapeTimeout.own, capacity: Int? = nil,
        _ body: ([UInt8]) -> Result
    ) -> Result {
        let start = registry.surroundings.clock.uptime
        let collected = collect(within: limit)
        return registry.printing.take(within: limit / 2) {
            let bytes =
                style.isProtobuf
                ? renderProtobuf(collected) : renderText(collected, capacity: capacity)
            registry.scrapeFigures.duration.observe(registry.surroundings.clock.uptime - start)
            registry.scrapeFigures.bytes.set(bytes.count)
            return body(bytes)
        }
    }

    private func renderText(
        _ collected: [[CollectedSamples.Series]?], capacity: Int?
    ) -> [UInt8] {
        var room = capacity ?? estimate(collected)
        var isFirst = true
        while true {
            var overflowed = false
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: room) { memory, count in
                var writer = unsafe ByteWriter(memory)
                write(collected, forgetsIdle: isFirst, into: &writer)
                count = writer.count
                overflowed = writer.overflowed
            }
            if !overflowed { return bytes }
            room = max(256, room * 2)
            isFirst = false
        }
    }

    private func renderProtobuf(_ collected: [[CollectedSamples.Series]?]) -> [UInt8] {
        var writer = ProtobufWriter(style.escaping, room: estimateProtobuf(collected))
        for entry in entries {
            switch entry {
            case .instruments(let core): writer.write(core)
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                writer.write(series, as: snapshot.plans[plan].families[family].definition)
            }
        }
        return writer.bytes
    }

    /// What each collector has to say; nil for those that failed or are not wanted.
    private func collect(within limit: Duration) -> [[CollectedSamples.Series]?] {
        var wanted = Array(repeating: false, count: snapshot.plans.count)
        for case .collected(let plan, _) in entries { wanted[plan] = true }
        var collected: [[CollectedSamples.Series]?] = Array(repeating: nil, count: wanted.count)
        var foreign: [Int] = []
        for (number, plan) in snapshot.plans.enumerated() where wanted[number] {
            if plan.origin == .own {
                collected[number] = plan.collectReporting(to: registry.scrapeFigures)
            } else if plan.isHung(at: registry.surroundings.clock.uptime) {
                plan.fail("it has not returned from an earlier scrape", registry.scrapeFigures)
            } else {
                foreign.append(number)
            }
        }
        // Those that another scrape has given up come last: they may be back by then.
        foreign.sort { !snapshot.plans[$0].isStuck && snapshot.plans[$1].isStuck }
        let round = CollectionRound(foreign.map { snapshot.plans[$0] }, in: registry)
        for (number, answer) in zip(foreign, round.run(within: limit)) {
            collected[number] = answer
        }
        return collected
    }

    private func write(
        _ collected: [[CollectedSamples.Series]?], forgetsIdle: Bool, into writer: inout ByteWriter
    ) {
        let familyWriter = FamilyWriter(style)
        for entry in entries {
            switch entry {
            case .instruments(let core):
                familyWriter.write(core, forgetsIdle: forgetsIdle, into: &writer)
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                let text = snapshot.plans[plan].families[family].texts[style.escaping]
                familyWriter.write(series, as: text, into: &writer)
            }
        }
        familyWriter.writeEnd(into: &writer)
    }

    /// A size that the exposition will hardly exceed, unless it has many native buckets.
    private func estimateProtobuf(_ collected: [[CollectedSamples.Series]?]) -> Int {
        var bytes = 1024
        for entry in entries {
            switch entry {
            case .instruments(let core):
                bytes += 64 + core.texts[style.escaping].head(style).count
                // A bucket has 20 bytes or so, and of a pair of labels twelve are not in the text.
                let labels = core.definition.labels.count
                let perSeries = 64 + core.definition.bounds.count * 24 + labels * 8
                for run in core.runs { bytes += run.count * perSeries + run.block.labelBytes }
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                bytes += 64 + series.labels.count + series.samples.count * 40
            }
        }
        return bytes
    }

    /// A size that the exposition will hardly exceed: each line as long as it can become.
    private func estimate(_ collected: [[CollectedSamples.Series]?]) -> Int {
        var bytes = 1024
        let createdLines = style.showsCreationTimes ? 1 : 0
        for entry in entries {
            switch entry {
            case .instruments(let core):
                let text = core.texts[style.escaping]
                let buckets = text.bucketEnds.count
                let perSeries = (buckets == 0 ? 1 : buckets + 2) + createdLines
                bytes += text.head(style).count
                for run in core.runs {
                    bytes += perSeries * (run.count * text.longestLine + run.block.labelBytes)
                }
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                let text = snapshot.plans[plan].families[family].texts[style.escaping]
                bytes += text.head(style).count + series.labels.count
                bytes += series.samples.count * text.longestLine
            }
        }
        return bytes
    }
}
