// SPDX-License-Identifier: Apache-2.0
// The services that only have to do with time: how the shop is told to end, and how it shows that it does.

import Outrider
import OutriderInstruments
import ServiceLifecycle
import Synchronization

/// The last of a group, which is told first: from then on the shop is draining.
final class Drain: Service {
    private let begun = Atomic<Bool>(false)
    private let metrics = DrainMetrics()

    init(batches: BatchWriter, writeBack: WriteBack) {
        metrics.watch("order-batches") { [weak batches] in batches?.count ?? 0 }
        metrics.watch("write-back") { [weak writeBack] in writeBack?.count ?? 0 }
    }

    var hasBegun: Bool { begun.load(ordering: .relaxed) }

    func run() async {
        try? await gracefulShutdown()
        begun.store(true, ordering: .relaxed)
        metrics.begin()
    }
}

/// Behind the agent, so that all else has ended: waits, so that what happened last is scraped once more.
struct LastScrape: Service {
    let limit: Duration

    func run() async {
        try? await gracefulShutdown()
        try? await Task.sleep(for: limit)
    }
}

/// Ends the group by itself after a while.
struct Timer: Service {
    let seconds: Double?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            try? await Task.sleep(for: seconds.map { .seconds($0) } ?? .seconds(1_000_000_000))
        }
    }
}
