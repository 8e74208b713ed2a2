// SPDX-License-Identifier: Apache-2.0
// What happens instead, where libmicrohttpd would abort the process.
//
// The library panics when its world is not as it left it; most likely because other code of the
// process has closed a descriptor that was the library's. A metrics endpoint is not worth the
// service: the thread that found it stays where it is, for good. That costs this endpoint, perhaps,
// and a thread; `Endpoint.stop` does not wait for it beyond its limit.

internal import CMicroHTTPD
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The library's panic, for all daemons of the process.
enum Panic {
    private static let log = Guarded<@Sendable (String) -> Void>({ _ in })

    /// Makes the library park a thread that panics, and tell `log`, rather than abort.
    static func disarm(log: @escaping @Sendable (String) -> Void) {
        let old = self.log.withLock { current in
            let old = current
            current = log
            return old
        }
        withExtendedLifetime(old) {}
        unsafe outrider_mhd_set_panic { _, file, line, reason in
            let place = unsafe file.map { unsafe String(cString: $0) } ?? "?"
            let text = unsafe reason.map { unsafe String(cString: $0) } ?? "?"
            Panic.park("\(text) (\(place):\(line))")
        }
    }

    private static func park(_ reason: String) -> Never {
        log.withLock { $0 }(
            """
            libmicrohttpd found its state broken and one of its threads stands still: \(reason). \
            Does the service close descriptors that are not its own? The endpoint may not answer \
            any more; all else goes on
            """)
        while true { pause() }
    }
}
