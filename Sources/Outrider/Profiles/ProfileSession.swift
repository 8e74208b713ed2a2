// SPDX-License-Identifier: Apache-2.0
// Profiles over a span of time, and who shares them.
//
// A session is two snapshots and the time between. It belongs to nobody: each of those who wait for it waits by
// itself, and the first whose time is up takes the second snapshot. So a client who leaves, the one who
// began it too, takes nothing from the others.

internal import OutriderProfile
internal import OutriderThreading

/// A profile over a span of time that has begun; thread-safe.
final class ProfileSession: Sendable {
    /// What came of it.
    typealias Outcome = Result<Profile, ProfileUnavailable>

    /// When it is over.
    let end: ContinuousClock.Instant
    /// Until when others may join: what they get began hardly before they asked.
    fileprivate let lastCall: ContinuousClock.Instant
    // Made without a lock: a snapshot takes milliseconds, for which no fork should have to wait.
    private let first = MadeOnce<Outcome>()
    private let outcome = MadeOnce<Outcome>()
    private let rendered = Guarded<[ProfileFormat: MadeOnce<[UInt8]>]>([:])
    fileprivate let readers = Guarded(1)

    fileprivate init(seconds: Int, now: ContinuousClock.Instant) {
        end = now + .seconds(seconds)
        lastCall = now + min(.seconds(1), .seconds(seconds) / 10)
    }

    /// Takes the first snapshot, unless another reader has or does.
    fileprivate func begin(
        _ snapshot: () throws(ProfileUnavailable) -> Profile
    ) throws(ProfileUnavailable) -> Profile {
        try first.value { Result(catching: snapshot) }.get()
    }

    /// The difference; the first who asks makes it by `snapshot`, and the others wait for that.
    func finish(_ snapshot: () throws(ProfileUnavailable) -> Profile) -> Outcome {
        outcome.value {
            Result { () throws(ProfileUnavailable) in
                let before = try begin(snapshot)
                return try snapshot().subtracting(before)
            }
        }
    }

    /// The bytes of the difference in a form, made once for all readers.
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
    /// Sessions at one time; each holds a profile.
    static let limit = 2

    private let time: any TimeSource
    private let running = Guarded<[(seconds: Int, session: ProfileSession)]>([])

    init(time: any TimeSource) {
        self.time = time
    }

    /// Joins a session that has just begun, or begins one; nil if there are as many as may be.
    ///
    /// Who gets one has to ``leave(_:)`` it.
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

    /// Lets go of a session; the last reader ends it.
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
