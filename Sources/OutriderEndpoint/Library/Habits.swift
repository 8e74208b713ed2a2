// SPDX-License-Identifier: Apache-2.0
// How the installed libmicrohttpd parses requests, and how the endpoint adapts to it.

internal import CMicroHTTPD
internal import OutriderThreading

/// How to run the library; see habits.h in CMicroHTTPD.
package struct Habits: Sendable {
    /// Whether the library runs at its strict level.
    package var isStrict: Bool
    /// Whether the library passes on requests with bytes that it hides, so that we have to look for
    /// them.
    package var hidesBytes: Bool
    /// Whether such bytes are always found or refused; if not, each connection serves one request.
    package var isSafe: Bool

    /// The safe choice when the library could not be tested.
    package static let unknown = Habits(outrider_mhd_unknown_habits())

    private static let found = Guarded<Habits?>(nil)

    /// Those of the library of this process.
    ///
    /// The first endpoint detects them, which takes half a millisecond. If that fails, for example
    /// for lack of a descriptor, they are ``unknown``, and the next endpoint tries again.
    package static func ofLibrary(log: @escaping @Sendable (String) -> Void) -> Habits {
        if let known = found.withLock({ $0 }) { return known }
        Panic.disarm(log: log)
        let done = Latch()
        // On a separate thread, which the library may park: see Panic.swift.
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
