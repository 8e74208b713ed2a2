// SPDX-License-Identifier: Apache-2.0
// The profiler's own work, which heap profiles leave out: in a small service, it would otherwise
// dominate them.

internal import Synchronization

/// Work whose allocations are not sampled, on the thread that does it.
///
/// Without malloc hooks in the process it does nothing. It costs two atomic loads.
package enum OwnWork {
    /// The functions that stop and resume sampling of the calling thread; calls nest.
    private struct Switches: Sendable {
        let pause: @convention(c) () -> Void
        let resume: @convention(c) () -> Void
    }

    private static let isSampled = Atomic<Bool>(false)
    private static let switches = Guarded<Switches?>(nil)

    /// Sets the functions that stop and resume sampling of the calling thread; only the first call
    /// counts.
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

    /// Ends such work.
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
