// SPDX-License-Identifier: Apache-2.0
// How the libmicrohttpd that is there reads requests, and what the endpoint does about it.

internal import CMicroHTTPD
internal import OutriderThreading

/// How to run the library; see habits.h in CMicroHTTPD.
package struct Habits: Sendable {
    /// Whether the library runs at its strict level.
    package var isStrict: Bool
    /// Whether it hands over requests with bytes that it does not show, so that we have to look for them.
    package var hidesBytes: Bool
    /// Whether such bytes are always found or refused; if not, each connection has one request.
    package var isSafe: Bool

    /// What is right if the library could not be tried.
    package static let unknown = Habits(outrider_mhd_unknown_habits())

    private static let found = Guarded<Habits?>(nil)

    /// Those of the library of this process.
    ///
    /// The first endpoint finds them out, which takes half a millisecond. Where that fails, for want of a descriptor
    /// perhaps, they are ``unknown``, and the next endpoint tries again.
    package static func ofLibrary(log: @escaping @Sendable (String) -> Void) -> Habits {
        if let known = found.withLock({ $0 }) { return known }
        Panic.disarm(log: log)
        let done = Latch()
        // On a thread of its own, which the library may have parked: see Panic.swift.
        let isStarted = DetachedThread.start(named: "outrider-try") {
            var habits = outrider_mhd_unknown_habits()
            if unsafe outrider_mhd_find_habits(&habits) == 1 {
                let new = Habits(habits)
                found.withLock { $0 = new }
            }
            done.open()
        }
        if isStarted { _ = done.wait(for: .seconds(60)) }
        return found.withLock { $0 } ?? .unknown
    }

    private init(_ habits: outrider_mhd_habits) {
        isStrict = habits.strictness == 1
        hidesBytes = habits.hides_bytes == 1
        isSafe = habits.is_safe == 1
    }
}
