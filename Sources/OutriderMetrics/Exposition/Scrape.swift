// SPDX-License-Identifier: Apache-2.0
// A scrape: calls the collectors, then writes everything into contiguous memory.

internal import OutriderThreading

/// A scrape of a registry, from the first collector to the last byte.
struct Scrape {
    private let registry: Registry
    private let style: ExpositionStyle
    private let snapshot: RegistrySnapshot
    private let entries: [RegistrySnapshot.Entry]
    /// Must be confirmed once a reader has received the rendered scrape.
    let delivery = Delivery()

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

    /// The exposition as text, which counts as delivered; nil if memory is short.
    ///
    /// - Parameter capacity: The initial capacity in bytes; if nil, an estimate from the series.
    func text(capacity: Int? = nil) -> String? {
        let text = render(capacity: capacity) { memory, count in
            unsafe String(decoding: memory.first(count), as: UTF8.self)
        }
        if text != nil { delivery.confirm() }
        return text
    }

    /// Renders the exposition and returns the result of `body`; nil if memory is short.
    ///
    /// `body` receives the memory and the number of bytes written.
    ///
    /// Different scrapes collect concurrently, but are rendered one after the other, so only one
    /// rendered scrape is in memory at a time, in addition to finished responses. The memory is
    /// kept for the next scrape, unless it is large.
    ///
    /// - Parameters:
    ///   - limit: The time limit of the collectors; half of it limits the wait for other renders.
    ///   - capacity: The initial capacity in bytes; if nil, an estimate from the series.
    func render<Result>(
        within limit: Duration = ScrapeTimeout.own, capacity: Int? = nil,
        _ body: (MappedMemory, Int) -> Result
    ) -> Result? {
        let start = registry.context.clock.uptime
        let collected = collect(within: limit)
        return registry.renderTurns.take(within: limit / 2) {
            let expected = style.isProtobuf ? estimateProtobuf(collected) : estimate(collected)
            let memory =
                capacity.map(MappedMemory.init(capacity:)) ?? registry.memory.take(expected)
            guard let memory, let count = print(collected, into: memory) else { return nil }
            registry.scrapeMetrics.duration.observe(registry.context.clock.uptime - start)
            registry.scrapeMetrics.bytes.set(count)
            defer { registry.memory.keep(memory) }
            return body(memory, count)
        }
    }

    /// Writes everything and returns the number of bytes; nil if memory is short.
    private func print(
        _ collected: [[CollectedSamples.Series]?], into memory: MappedMemory
    ) -> Int? {
        if style.isProtobuf { return printProtobuf(collected, into: memory) }
        var writer = ByteWriter(growing: memory)
        write(collected, into: &writer)
        return writer.overflowed ? nil : writer.count
    }

    private func printProtobuf(
        _ collected: [[CollectedSamples.Series]?], into memory: MappedMemory
    ) -> Int? {
        var writer = ProtobufWriter(style.escaping, into: memory)
        for entry in entries {
            switch entry {
            case .instruments(let core):
                core.expireIdle(for: delivery)
                writer.write(core)
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                writer.write(series, as: snapshot.plans[plan].families[family].definition)
            }
        }
        return writer.output.overflowed ? nil : writer.output.count
    }

    /// The samples of each collector; nil for those that failed or are not requested.
    private func collect(within limit: Duration) -> [[CollectedSamples.Series]?] {
        var wanted = Array(repeating: false, count: snapshot.plans.count)
        for case .collected(let plan, _) in entries { wanted[plan] = true }
        var collected: [[CollectedSamples.Series]?] = Array(repeating: nil, count: wanted.count)
        var foreign: [Int] = []
        for (index, plan) in snapshot.plans.enumerated() where wanted[index] {
            if plan.origin == .own {
                collected[index] = plan.collectReporting(to: registry.scrapeMetrics)
            } else if plan.isHung(at: registry.context.clock.uptime) {
                plan.fail("it has not returned from an earlier scrape", registry.scrapeMetrics)
            } else {
                foreign.append(index)
            }
        }
        // Collectors that another scrape has abandoned come last: they may have returned by then.
        foreign.sort { !snapshot.plans[$0].isStuck && snapshot.plans[$1].isStuck }
        let round = CollectionRound(foreign.map { snapshot.plans[$0] }, in: registry)
        for (index, series) in zip(foreign, round.run(within: limit)) {
            collected[index] = series
        }
        return collected
    }

    private func write(
        _ collected: [[CollectedSamples.Series]?], into writer: inout ByteWriter
    ) {
        let familyWriter = FamilyWriter(style)
        for entry in entries {
            switch entry {
            case .instruments(let core):
                core.expireIdle(for: delivery)
                familyWriter.write(core, into: &writer)
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                let text = snapshot.plans[plan].families[family].texts[style.escaping]
                familyWriter.write(series, as: text, into: &writer)
            }
        }
        familyWriter.writeEnd(into: &writer)
    }

    /// An estimate that the exposition rarely exceeds, unless it has many native buckets.
    private func estimateProtobuf(_ collected: [[CollectedSamples.Series]?]) -> Int {
        var bytes = 1024
        for entry in entries {
            switch entry {
            case .instruments(let core):
                bytes += 64 + core.texts[style.escaping].head(style).count
                // A bucket takes about 20 bytes, and a label about twelve that are not in the text.
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

    /// An estimate that the exposition rarely exceeds: each line at its maximum length.
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
