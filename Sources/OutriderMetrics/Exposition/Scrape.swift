// SPDX-License-Identifier: Apache-2.0
// One scrape: ask the collectors, then print everything into one buffer.

/// A scrape of a registry, from the first collector to the last byte.
struct Scrape {
    private let registry: Registry
    private let snapshot: RegistrySnapshot
    private let entries: [RegistrySnapshot.Entry]

    init(_ registry: Registry, names: [String]) {
        self.registry = registry
        let snapshot = registry.snapshot
        self.snapshot = snapshot
        entries =
            names.isEmpty
            ? snapshot.entries
            : snapshot.entries.filter { entry in
                let own = snapshot.definition(of: entry).sampleNames
                return names.contains(where: own.contains)
            }
    }

    /// The exposition in bytes.
    ///
    /// - Parameter capacity: Room to start with; an estimate from the series if nil. Should it
    ///   not do, everything is printed again with twice the room.
    func render(capacity: Int? = nil) -> [UInt8] {
        let start = ContinuousClock.now
        let collected = collect()
        var room = capacity ?? estimate(collected)
        while true {
            var overflowed = false
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: room) { memory, count in
                var writer = unsafe ByteWriter(memory)
                write(collected, into: &writer)
                count = writer.count
                overflowed = writer.overflowed
            }
            if !overflowed {
                registry.scrapeFigures.duration.observe(ContinuousClock.now - start)
                registry.scrapeFigures.bytes.set(bytes.count)
                return bytes
            }
            room = max(256, room * 2)
        }
    }

    /// What each collector has to say; nil for those that failed or are not wanted.
    private func collect() -> [[CollectedSamples.Series]?] {
        var wanted = Array(repeating: false, count: snapshot.plans.count)
        for case .collected(let plan, _) in entries { wanted[plan] = true }
        return zip(snapshot.plans, wanted).map { plan, isWanted in
            isWanted ? ask(plan) : nil
        }
    }

    private func ask(_ plan: CollectionPlan) -> [CollectedSamples.Series]? {
        let figures = registry.scrapeFigures
        let start = ContinuousClock.now
        defer {
            if plan.isReported {
                figures.collectorDuration.with(plan.name)
                    .set((ContinuousClock.now - start) / .seconds(1))
            }
        }
        do {
            return try plan.collect()
        } catch {
            figures.collectorFailures.with(plan.name).increment()
            registry.diagnostics.log.say(
                .warning, about: "collector:\(plan.name)",
                "collector \"\(plan.name)\" was left out of a scrape: \(error)")
            return nil
        }
    }

    private func write(_ collected: [[CollectedSamples.Series]?], into writer: inout ByteWriter) {
        for entry in entries {
            switch entry {
            case .instruments(let core):
                TextExposition.write(core, into: &writer)
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                let text = snapshot.plans[plan].families[family].text
                TextExposition.write(series, as: text, into: &writer)
            }
        }
    }

    /// A size that the exposition will hardly exceed: each line as long as it can become.
    private func estimate(_ collected: [[CollectedSamples.Series]?]) -> Int {
        var bytes = 1024
        for entry in entries {
            switch entry {
            case .instruments(let core):
                let lines = max(1, core.text.bucketEnds.count + 2)
                let perSeries = core.text.bucketEnds.isEmpty ? 1 : lines
                bytes += core.text.head.count
                for run in core.runs {
                    bytes += perSeries * (run.count * core.text.longestLine + run.block.labelBytes)
                }
            case .collected(let plan, let family):
                guard let series = collected[plan]?[family] else { continue }
                let text = snapshot.plans[plan].families[family].text
                bytes += text.head.count + series.labels.count
                bytes += series.samples.count * text.longestLine
            }
        }
        return bytes
    }
}
