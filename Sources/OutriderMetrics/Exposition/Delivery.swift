// SPDX-License-Identifier: Apache-2.0
// Confirmation that a rendered scrape reached a reader, for families with an idle time.

internal import OutriderThreading

/// The idle checks of a rendered scrape; thread-safe.
///
/// Rendering is not delivery. The scrape may be for a HEAD request, whose body is not sent, or its
/// client may disconnect before the end. So a series does not expire just because it was rendered.
final class Delivery: Sendable {
    private let checks = Guarded<[(expiry: IdleExpiry, time: Duration)]>([])

    /// Adds a family that was checked and is written next.
    func add(_ expiry: IdleExpiry, checkedAt time: Duration) {
        checks.withLock { $0.append((expiry, time)) }
    }

    /// Notes that a reader has received the whole scrape.
    func confirm() {
        for (expiry, time) in checks.withLock({ $0 }) { expiry.noteDelivery(of: time) }
    }
}
