// SPDX-License-Identifier: Apache-2.0
// Profiles over a span of time, and how requests share them.
//
// A session consists of two snapshots and the time between them. No request owns it: each one waits
// by itself, and the first whose time is up takes the second snapshot. So a client that
// disconnects, even the one that began the session, does not affect the others.

internal import OutriderProfile
internal import OutriderThreading

/// A profile over a span of time that has begun; thread-safe.
final class ProfileSession: Sendable {
    /// Its result.
    typealias Outcome = Result<Profile, ProfileUnavailable>

    /// When the span is over.
    let end: ContinuousClock.Instant
    /// The latest time to join: the span then began only shortly before the request.
    fileprivate let lastCall: ContinuousClock.Instant
    // Created without a lock: a snapshot takes milliseconds, and a fork should not have to wait
    // that long.
    private let first = MadeOnce<Outcome>()
    private let outcome = MadeOnce<Outcome>()
    private let rendered = Guarded<[ProfileFormat: MadeOnce<[UInt8]>]>([:])
    fileprivate let readers = Guarded(1)

    fileprivate init(seconds: Int, now: ContinuousClock.Instant) {
        end = now + .seconds(seconds)
        lastCall = now + min(.seconds(1), .seconds(seconds) / 10)
    }

    /// Takes the first snapshot, unless another request has taken it or is taking it.
    fileprivate func begin(
        _ snapshot: () throws(ProfileUnavailable) -> Profile
    ) throws(ProfileUnavailable) -> Profile {
        try first.value { Result(catching: snapshot) }.get()
    }

    /// The difference; the first caller computes it with `snapshot`, and the others wait for the
    /// result.
    func finish(_ snapshot: () throws(ProfileUnavailable) -> Profile) -> Outcome {
        outcome.value {
            Result { () throws(ProfileUnavailable) in
                let before = try begin(snapshot)
                return try snapshot().subtracting(before)
            }
        }
    }

    /// The bytes of the difference in a format, rendered once for all requests.
    func bytes(_ format: ProfileFormat, _ render: () -> [UInt8]) -> [UInt8] {
        let made = rendered.withLock { rendered in
            let made = rendered[format] ?? MadeOnce()
            rendered[format] = made
            return made
        }
        return made.value(render)
    }
}

/// The sessions of one kind of profile; thread-safe.
final class ProfileSessions: Sendable {
    /// Maximum number of concurrent sessions; each holds a profile.
    static let limit = 2

    private let time: any TimeSource
    private let running = Guarded<[(seconds: Int, session: ProfileSession)]>([])

    init(time: any TimeSource) {
        self.time = time
    }

    /// Joins a session that has just begun, or begins a new one; nil if the limit is reached.
    ///
    /// The caller must ``leave(_:)`` the session.
    func join(
        seconds: Int, _ snapshot: () throws(ProfileUnavailable) -> Profile
    ) throws(ProfileUnavailable) -> ProfileSession? {
        let joined = running.withLock { running -> ProfileSession? in
            let now = time.now
            let known = running.first { $0.seconds == seconds && $0.session.lastCall >= now }
            if let session = known?.session {
                session.readers.withLock { $0 += 1 }
                return session
            }
            if running.count >= Self.limit { return nil }
            let session = ProfileSession(seconds: seconds, now: now)
            running.append((seconds, session))
            return session
        }
        guard let session = joined else { return nil }
        do throws(ProfileUnavailable) {
            _ = try session.begin(snapshot)
        } catch {
            leave(session)
            throw error
        }
        return session
    }

    /// Leaves a session; the last request ends it.
    func leave(_ session: ProfileSession) {
        running.withLock { running in
            let isLast = session.readers.withLock { readers in
                readers -= 1
                return readers == 0
            }
            if isLast { running.removeAll { $0.session === session } }
        }
    }
}
