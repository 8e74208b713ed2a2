// SPDX-License-Identifier: Apache-2.0
// Why the endpoint's descriptors have high numbers.
//
// A service that closes every descriptor that it does not know mostly stops at a number such as 63 or 255, so high
// numbers stay open. And if it closes all of them, the kernel gives the lowest free numbers to what it opens next,
// so the endpoint's numbers are not given to somebody else. That matters since libmicrohttpd knows numbers only.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The numbers that our descriptors have.
enum HighNumbers {
    private static let usual: Int32 = 512
    /// More than an endpoint has at one time.
    private static let span: Int32 = 1_024
    private static let given = Guarded<Int32>(0)

    /// Gives later descriptors other numbers than all before.
    ///
    /// To be called when the service has closed the descriptors of an endpoint: the library's threads go on to read
    /// and write under the old numbers, which must not be those of the next endpoint.
    static func leave() {
        given.withLock { $0 += span }
    }

    /// The lowest of them: 512, or half of `RLIMIT_NOFILE` where that is below 1,024; higher ones after ``leave()``.
    ///
    /// select(2) cannot take numbers of 1,024 and more; services that use it keep all the low ones.
    static var lowest: Int32 {
        var limit = rlimit()
        #if canImport(Glibc)
            let isKnown = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        #else
            let isKnown = unsafe getrlimit(RLIMIT_NOFILE, &limit) == 0
        #endif
        guard isKnown else { return 0 }
        return min(usual + given.withLock { $0 }, Int32(clamping: limit.rlim_cur) / 2)
    }

    /// The same file under a high number; the given descriptor is closed.
    ///
    /// Where no high number is free, it is left as it is.
    static func move(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < lowest else { return descriptor }
        let high = fcntl(descriptor, F_DUPFD_CLOEXEC, lowest)
        guard high >= 0 else { return descriptor }
        close(descriptor)
        return high
    }

    /// Runs `body` while no low number is free, so that what it opens has a high one.
    ///
    /// The kernel knows no other way for descriptors that a library opens. `filler` is opened up to some hundred
    /// times meanwhile, which takes some hundred system calls. What other threads open then has high numbers too.
    static func withLowOnesTaken<Result>(by filler: Int32, _ body: () -> Result) -> Result {
        let end = lowest
        var taken: [Int32] = []
        while true {
            let next = fcntl(filler, F_DUPFD_CLOEXEC, 0)
            if next < 0 { break }
            taken.append(next)
            if next >= end { break }
        }
        // The one beyond the end is not needed, and `body` may need its place.
        if let last = taken.last, last >= end {
            close(last)
            taken.removeLast()
        }
        defer { for descriptor in taken { close(descriptor) } }
        return body()
    }
}
