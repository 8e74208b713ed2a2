// SPDX-License-Identifier: Apache-2.0
// Services that only control the shutdown and its timing.

import Outrider
import OutriderInstruments
import ServiceLifecycle
import Synchronization

/// The last service of the group, which shuts down first: from then on the shop is draining.
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

/// Shuts down last but for the agent: waits for one more scrape of the final values.
struct LastScrape: Service {
    let limit: Duration

    func run() async {
        try? await gracefulShutdown()
        try? await Task.sleep(for: limit)
    }
}

/// Ends the group after a while.
struct Timer: Service {
    let seconds: Double?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            try? await Task.sleep(for: seconds.map { .seconds($0) } ?? .seconds(1_000_000_000))
        }
    }
}
