// SPDX-License-Identifier: Apache-2.0
// Idle series, forgotten by comparing what one scrape sees with what the last one saw.
//
// Recording has no part in it. Each scrape of a family that forgets first looks at every series, then
// prints.
//
//     shown ── delivered, and unchanged for long enough ──▶ removed   (only the table holds its instrument)
//       ▲  └──────────────────────────────────────────────▶ hidden    (the service holds it)
//       └──────────────── its numbers have changed ───────────┘ └──▶ removed, once only the table holds it
//
// A scrape that was rendered has not been read: it may have been for a HEAD, or for a client that left. So
// the idle time of a series begins with a scrape that showed its present numbers and is known to have
// been delivered (Delivery). It is as long as the service has told, so that every reader that comes more
// often has seen these numbers, whoever else reads.
//
// A hidden series keeps its numbers, and comes back with them. To start at zero would hide from a reader
// what was counted before it sees the series again, unless that is less than it saw last.
//
// No observation is lost. Only the table hands out instruments, and under its lock: an instrument that
// only the table holds is one that no thread can record on.

internal import OutriderThreading

/// How the idle series of a family are forgotten; thread-safe.
final class IdleExpiry: Sendable {
    let idleTime: Duration
    /// Counters or histograms.
    let kind: MetricKind
    private let arena: CellArena
    /// The last look whose scrape was delivered, by the clock's uptime.
    private let delivered = Guarded<Duration?>(nil)

    init(idleTime: Duration, kind: MetricKind, arena: CellArena) {
        self.idleTime = idleTime
        self.kind = kind
        self.arena = arena
    }

    /// Numbers that each series has.
    var cellsPerSeries: Int { arena.cellsPerSeries }

    /// A scrape was delivered that printed what it saw at this moment, or later.
    func noteDelivery(of look: Duration) {
        delivered.withLock { $0 = max($0 ?? look, look) }
    }

    /// The last look whose scrape was delivered; nil before the first.
    var lastDelivery: Duration? { delivered.withLock { $0 } }

    /// The numbers of a series.
    func numbers(at index: Int, in block: SeriesBlock) -> SeriesNumbers {
        block.numbers(at: index, of: kind, hasRows: arena.mayHaveRows)
    }

    /// Whether only the table holds the instrument of a series.
    func isUnheld(at index: Int, in block: SeriesBlock) -> Bool {
        kind == .counter
            ? block.isUnheld(at: index, as: Counter.self)
            : block.isUnheld(at: index, as: Histogram.self)
    }
}

extension SeriesTable {
    /// Forgets the series that were idle, and shows those that are not any more; for a scrape that is
    /// about to print the family.
    func forgetIdle(for delivery: Delivery) {
        guard let expiry else { return }
        let delivered = expiry.lastDelivery
        var number = 0
        // Look-ups wait for one block's look at most, not for that at the whole family. Should
        // a removal rebuild the blocks meanwhile, a series is looked at twice, which changes
        // nothing, or not before the next scrape.
        while changing({ look(at: number, in: &$0, expiry, delivered) }) {
            number += 1
        }
        delivery.add(expiry, lookedAt: clock.uptime)
    }

    /// Looks at the series of a block; false if there is no such block.
    private func look(
        at number: Int, in state: inout SeriesIndex, _ expiry: IdleExpiry, _ delivered: Duration?
    ) -> Bool {
        guard number < state.blocks.count else {
            state.rebuildIfWorthwhile()
            return false
        }
        let block = state.blocks[number]
        let count = block.count
        // What has not changed was idle until this moment at least.
        let start = clock.uptime
        for index in 0..<count {
            let mark = block.mark(of: index)
            if mark == .removed { continue }
            let seen = NumbersSeen(
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
            if expiry.isUnheld(at: index, in: block) {
                removeIfStill(seen, at: index, block, &state, expiry)
            } else {
                block.setMark(of: index, to: .hidden)
            }
        }
        // What has changed may have done so until this moment.
        let end = clock.uptime
        for index in 0..<count {
            let watch = block.watch(of: index)
            if watch.since == nil {
                block.setWatch(of: index, to: IdleWatch(seen: watch.seen, since: end))
            }
        }
        return true
    }

    /// Removes a series that only the table holds, unless its numbers changed before it was let go.
    private func removeIfStill(
        _ seen: NumbersSeen, at index: Int, _ block: SeriesBlock, _ state: inout SeriesIndex,
        _ expiry: IdleExpiry
    ) {
        let key = unsafe block.labels(at: index)
        let numbers = expiry.numbers(at: index, in: block)
        guard NumbersSeen(numbers, count: expiry.cellsPerSeries) == seen,
            let place = unsafe state.find(key, hash: state.hash(of: key))
        else { return }
        state.bury(place)
    }
}
