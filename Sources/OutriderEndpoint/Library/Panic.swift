// SPDX-License-Identifier: Apache-2.0
// Replaces libmicrohttpd's abort of the process.
//
// The library panics when its state is broken, most likely because other code of the process has
// closed one of its descriptors. A metrics endpoint must not end the service: the thread that
// panics sleeps for ever. This costs a thread and perhaps the endpoint; `Endpoint.stop` does not
// wait for it beyond its limit.

internal import CMicroHTTPD
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The library's panic handler, for all daemons of the process.
enum Panic {
    private static let log = Guarded<@Sendable (String) -> Void>({ _ in })

    /// Makes the library park a thread that panics and report it to `log`, rather than abort.
    static func disarm(log: @escaping @Sendable (String) -> Void) {
        let old = self.log.withLock { current in
            let old = current
            current = log
            return old
        }
        withExtendedLifetime(old) {}
        unsafe outrider_mhd_set_panic { _, file, line, reason in
            let location = unsafe file.map { unsafe String(cString: $0) } ?? "?"
            let text = unsafe reason.map { unsafe String(cString: $0) } ?? "?"
            Panic.park("\(text) (\(location):\(line))")
        }
    }

    private static func park(_ reason: String) -> Never {
        log.withLock { $0 }(
            """
            libmicrohttpd found its state corrupted and one of its threads is parked: \(reason). \
            Check whether the service closes descriptors that it does not own. The endpoint may \
            no longer respond; the rest of the process is not affected
            """)
        while true { pause() }
    }
}
