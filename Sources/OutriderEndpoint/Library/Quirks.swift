// SPDX-License-Identifier: Apache-2.0
// How the installed libmicrohttpd parses requests, and how the endpoint adapts to it.

internal import CMicroHTTPD
internal import OutriderThreading

/// How to run the library; see quirks.h in CMicroHTTPD.
package struct Quirks: Sendable {
    /// Whether the library runs at its strict level.
    package var isStrict: Bool
    /// Whether the library passes on requests with bytes that it hides, so that we have to look for
    /// them.
    package var hidesBytes: Bool
    /// Whether such bytes are always found or refused; if not, each connection serves one request.
    package var isSafe: Bool

    /// The safe choice when the library could not be tested.
    package static let unknown = Quirks(outrider_mhd_unknown_quirks())

    private static let found = Guarded<Quirks?>(nil)

    /// Those of the library of this process.
    ///
    /// The first endpoint detects them, which takes half a millisecond. If that fails, for example
    /// for lack of a descriptor, they are ``unknown``, and the next endpoint tries again.
    package static func ofLibrary(log: @escaping @Sendable (String) -> Void) -> Quirks {
        if let known = found.withLock({ $0 }) { return known }
        Panic.disarm(log: log)
        let done = Latch()
        // On a separate thread, which the library may park: see Panic.swift.
        let isStarted = DetachedThread.start(named: "outrider-try") {
            var quirks = outrider_mhd_unknown_quirks()
            if unsafe outrider_mhd_find_quirks(&quirks) == 1 {
                let new = Quirks(quirks)
                found.withLock { $0 = new }
            }
            done.open()
        }
        if isStarted { _ = done.wait(for: .seconds(60)) }
        return found.withLock { $0 } ?? .unknown
    }

    private init(_ quirks: outrider_mhd_quirks) {
        isStrict = quirks.strictness == 1
        hidesBytes = quirks.hides_bytes == 1
        isSafe = quirks.is_safe == 1
    }
}
