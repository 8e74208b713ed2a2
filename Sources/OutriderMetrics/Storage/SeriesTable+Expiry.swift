// SPDX-License-Identifier: Apache-2.0
// Idle series, forgotten by comparing what one scrape sees with what the last one saw.
//
// Recording has no part in it. Scrapes of a family that forgets take turns: each first looks at
// every series, then prints, and none looks while another prints. So no scrape sees a series that
// is being set back to zero, and creation times only change while nobody reads them.
//
//     shown ── unchanged for long enough ──▶ removed   (nobody but the table holds its instrument)
//       ▲  └────────────────────────────────▶ hidden    (somebody does; its numbers are zero now)
//       └───────── its numbers are not zero ───┘ └──▶ removed, once nobody holds it
//
// No observation is lost. Only the table hands out instruments, and under its lock: what nobody
// else holds there can be recorded on by nobody. What somebody holds is set back by atomic
// exchanges. What they took is what the scrapes have shown all the while, else it is put back.

internal import OutriderThreading

/// How the idle series of a family are forgotten.
final class IdleExpiry: Sendable {
    let idleTime: Duration
    /// Counters or histograms.
    let kind: MetricKind
    private let arena: CellArena
    /// Held by the scrape that looks and prints.
    let turn = Guarded<Void>(())

    init(idleTime: Duration, kind: MetricKind, canHide: Bool, arena: CellArena) {
        self.idleTime = idleTime
        self.kind = kind
        self.canHide = canHide
        self.arena = arena
    }

    /// Whether a series that somebody holds can be set back to zero: not with native buckets, since
    /// nobody could tell whether an observation was counted in both before or after.
    let canHide: Bool

    /// Numbers that each series has.
    var cellsPerSeries: Int { arena.cellsPerSeries }

    /// The numbers of a series.
    func numbers(at index: Int, in block: SeriesBlock) -> SeriesNumbers {
        block.numbers(at: index, of: kind, hasRows: arena.mayHaveRows)
    }

    /// Whether nobody but the table holds the instrument of a series.
    func isUnheld(at index: Int, in block: SeriesBlock) -> Bool {
        kind == .counter
            ? block.isUnheld(at: index, as: Counter.self)
            : block.isUnheld(at: index, as: Histogram.self)
    }
}

extension SeriesTable {
    /// Runs `body`, which prints the series, after those that were idle were forgotten.
    ///
    /// - Parameter forget: Told of each instrument that was set back to zero, under the lock.
    func whileNothingExpires<Result>(
        forget: (AnyObject) -> Void, _ body: () -> Result
    ) -> Result {
        guard let expiry else { return body() }
        return expiry.turn.withLock { _ in
            var number = 0
            // Look-ups wait for one block's look at most, not for that at the whole family. Should
            // a removal rebuild the blocks meanwhile, a series is looked at twice, which changes
            // nothing, or not before the next scrape.
            while changing({ look(at: number, in: &$0, expiry, forget) }) {
                number += 1
            }
            return body()
        }
    }

    /// Looks at the series of a block; false if there is no such block.
    private func look(
        at number: Int, in state: inout SeriesIndex, _ expiry: IdleExpiry,
        _ forget: (AnyObject) -> Void
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
            let numbers = expiry.numbers(at: index, in: block)
            let seen = NumbersSeen(numbers, count: expiry.cellsPerSeries)
            let watch = block.watch(of: index)
            switch block.mark(of: index) {
            case .removed: continue
            case .hidden where seen == .none:
                if expiry.isUnheld(at: index, in: block) {
                    removeIfStill(seen, at: index, block, &state, expiry)
                }
            case .hidden:
                block.setMark(of: index, to: .shown)
                block.setWatch(of: index, to: IdleWatch(seen: seen))
            case .shown:
                guard seen == watch.seen, let since = watch.since else {
                    block.setWatch(of: index, to: IdleWatch(seen: seen))
                    continue
                }
                guard start - since >= expiry.idleTime else { continue }
                if expiry.isUnheld(at: index, in: block) {
                    removeIfStill(seen, at: index, block, &state, expiry)
                } else if expiry.canHide, seen.reset(numbers, count: expiry.cellsPerSeries) {
                    hide(index, of: block)
                    forget(block.instrument(at: index))
                }
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

    /// Removes a series that nobody holds, unless its numbers changed before it was let go.
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

    /// Hides a series whose numbers are zero now, from when on it counts.
    private func hide(_ index: Int, of block: SeriesBlock) {
        // Later than before in any case, even if the clock was set back.
        let old = block.created(at: index)
        block.hide(at: index, created: max(now, old == .max ? old : old + 1))
    }
}
