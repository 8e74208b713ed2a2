// SPDX-License-Identifier: Apache-2.0
// Work of the profiler's own, which a heap profile leaves out: an observer that is in its own picture hides a small
// service behind itself.

internal import Synchronization

/// Work whose allocations are not sampled, by the thread that does it.
///
/// Without malloc hooks in the process it does nothing. It costs two atomic loads.
package enum OwnWork {
    /// What stops and resumes sampling of the calling thread; calls are counted.
    private struct Switches: Sendable {
        let pause: @convention(c) () -> Void
        let resume: @convention(c) () -> Void
    }

    private static let isSampled = Atomic<Bool>(false)
    private static let switches = Guarded<Switches?>(nil)

    /// Says how sampling of the calling thread is stopped and resumed; the first one holds.
    package static func setSwitches(
        pause: @escaping @convention(c) () -> Void, resume: @escaping @convention(c) () -> Void
    ) {
        switches.withLock { switches in
            if switches == nil { switches = Switches(pause: pause, resume: resume) }
        }
        // ORDERING: release pairs with the acquire of `current`.
        isSampled.store(true, ordering: .releasing)
    }

    private static var current: Switches? {
        isSampled.load(ordering: .acquiring) ? switches.withLock { $0 } : nil
    }

    /// Begins such work on the calling thread; ``end()`` has to follow on the same thread.
    package static func begin() { current?.pause() }

    /// Ends it.
    package static func end() { current?.resume() }

    /// Runs `body` as such work.
    package static func run<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        begin()
        defer { end() }
        return try body()
    }
}
