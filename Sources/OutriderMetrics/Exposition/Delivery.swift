// SPDX-License-Identifier: Apache-2.0
// That a rendering reached a reader, for families that forget what was read and does not change.

internal import OutriderThreading

/// What a rendering showed of families that forget; thread-safe.
///
/// A rendering is no delivery. It may be for a HEAD, whose body is not sent, or its client may leave before
/// the end. So nothing that a scrape shows is forgotten for having been rendered.
final class Delivery: Sendable {
    private let looks = Guarded<[(expiry: IdleExpiry, time: Duration)]>([])

    /// A family was looked at and is printed next.
    func add(_ expiry: IdleExpiry, lookedAt time: Duration) {
        looks.withLock { $0.append((expiry, time)) }
    }

    /// A reader has the whole of it.
    func confirm() {
        for (expiry, time) in looks.withLock({ $0 }) { expiry.noteDelivery(of: time) }
    }
}
