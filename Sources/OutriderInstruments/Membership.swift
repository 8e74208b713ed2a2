// SPDX-License-Identifier: Apache-2.0
// One of those that a gauge counts.

internal import OutriderMetrics
internal import Synchronization

/// Counts in a gauge until it ends, or its last reference goes; thread-safe.
final class Membership: Sendable {
    private let gauge: Gauge
    private let isEnded = Atomic<Bool>(false)

    init(in gauge: Gauge) {
        self.gauge = gauge
        gauge.increment()
    }

    deinit { end() }

    func end() {
        // ORDERING: relaxed; only who comes first matters.
        if !isEnded.exchange(true, ordering: .relaxed) { gauge.decrement() }
    }
}
