// SPDX-License-Identifier: Apache-2.0
// Expiry of idle series, by comparing the numbers that two scrapes see.
//
// Recording is not involved. Each scrape of a family with an idle time first checks every series,
// then writes the family.
//
//     shown ── delivered, and unchanged for long enough ──▶ removed   (only the table holds it)
//       ▲  └──────────────────────────────────────────────▶ hidden    (the service holds it)
//       └──────────────── its numbers have changed ───────────┘ └──▶ removed, once unheld
//
// Rendering a scrape does not mean that it was read: it may have been for a HEAD request, or for a
// client that disconnected. So the idle time of a series starts with a scrape that exposed its
// current numbers and is known to have been delivered (Delivery). The service chooses its length,
// so every scraper with a shorter interval has seen these numbers, whichever other scrapers there
// are.
//
// A hidden series keeps its numbers, and reappears with them. If it started at zero, a scraper
// would miss what was counted before it sees the series again, unless that is less than it saw
// last.
//
// No observation is lost. Only the table returns instruments, and under its lock: no thread can
// record on an instrument that only the table holds.

internal import OutriderThreading

/// The expiry of a family's idle series; thread-safe.
final class IdleExpiry: Sendable {
    let idleTime: Duration
    /// Counter or histogram.
    let kind: MetricKind
    private let arena: CellArena
    /// The time of the last check whose scrape was delivered, by the clock's uptime.
    private let delivered = Guarded<Duration?>(nil)

    init(idleTime: Duration, kind: MetricKind, arena: CellArena) {
        self.idleTime = idleTime
        self.kind = kind
        self.arena = arena
    }

    /// How many numbers each series has.
    var cellsPerSeries: Int { arena.cellsPerSeries }

    /// Notes the delivery of a scrape that checked the series at this time and wrote them
    /// afterwards.
    func noteDelivery(of check: Duration) {
        delivered.withLock { $0 = max($0 ?? check, check) }
    }

    /// The last check whose scrape was delivered; nil before the first.
    var lastDelivery: Duration? { delivered.withLock { $0 } }

    /// The numbers of a series.
    func numbers(at index: Int, in block: SeriesBlock) -> SeriesValues {
        block.numbers(at: index, of: kind, hasRows: arena.mayHaveRows)
    }

    /// Whether only the table holds the instrument of a series.
    func isUnreferenced(at index: Int, in block: SeriesBlock) -> Bool {
        kind == .counter
            ? block.isUnreferenced(at: index, as: Counter.self)
            : block.isUnreferenced(at: index, as: Histogram.self)
    }
}

extension SeriesTable {
    /// Removes or hides idle series, and shows those that changed; for a scrape that is about to
    /// write the family.
    func expireIdle(for delivery: Delivery) {
        guard let expiry else { return }
        let delivered = expiry.lastDelivery
        var blockIndex = 0
        // Lookups wait for the check of one block at most, not of the whole family. If a removal
        // rebuilds the blocks during the check, a series is checked twice, which changes nothing,
        // or not until the next scrape.
        while changing({ check(at: blockIndex, in: &$0, expiry, delivered) }) {
            blockIndex += 1
        }
        delivery.add(expiry, checkedAt: clock.uptime)
    }

    /// Checks the series of a block; false if there is no such block.
    private func check(
        at blockIndex: Int, in state: inout SeriesWriter, _ expiry: IdleExpiry,
        _ delivered: Duration?
    ) -> Bool {
        guard blockIndex < state.blocks.count else {
            state.rebuildIfWorthwhile()
            return false
        }
        let block = state.blocks[blockIndex]
        let count = block.count
        // An unchanged series was idle at least until this moment.
        let start = clock.uptime
        for index in 0..<count {
            let mark = block.mark(of: index)
            if mark == .removed { continue }
            let seen = ValueDigest(
                expiry.numbers(at: index, in: block), count: expiry.cellsPerSeries)
            var watch = block.watch(of: index)
            guard seen == watch.seen, let since = watch.since else {
                block.setMark(of: index, to: .shown)
                block.setWatch(of: index, to: IdleWatch(seen: seen))
                continue
            }
            if !watch.isDelivered {
                guard let delivered, delivered >= since else { continue }
                watch.isDelivered = true
                watch.since = delivered
                block.setWatch(of: index, to: watch)
            }
            guard start - (watch.since ?? start) >= expiry.idleTime else { continue }
            if expiry.isUnreferenced(at: index, in: block) {
                removeIfStill(seen, at: index, block, &state, expiry)
            } else {
                block.setMark(of: index, to: .hidden)
            }
        }
        // A changed series may have changed up to this moment.
        let end = clock.uptime
        for index in 0..<count {
            let watch = block.watch(of: index)
            if watch.since == nil {
                block.setWatch(of: index, to: IdleWatch(seen: watch.seen, since: end))
            }
        }
        return true
    }

    /// Removes a series that only the table holds, unless its numbers changed before its last other
    /// holder released it.
    private func removeIfStill(
        _ seen: ValueDigest, at index: Int, _ block: SeriesBlock, _ state: inout SeriesWriter,
        _ expiry: IdleExpiry
    ) {
        let key = unsafe block.labels(at: index)
        let numbers = expiry.numbers(at: index, in: block)
        guard ValueDigest(numbers, count: expiry.cellsPerSeries) == seen,
            let location = unsafe state.find(key, hash: state.hash(of: key))
        else { return }
        state.remove(location)
    }
}
