// SPDX-License-Identifier: Apache-2.0
// High descriptor numbers for the endpoint.
//
// A service that closes all descriptors that it does not know mostly stops at a number such as 63
// or 255, so high ones stay open. If it closes all of them, the kernel gives the lowest free
// numbers to the files it opens next, so the endpoint's numbers are not reused. That matters
// because libmicrohttpd keeps only numbers.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The range of our descriptors.
enum HighDescriptors {
    private static let usual: Int32 = 512
    /// More descriptors than an endpoint has at one time.
    private static let span: Int32 = 1_024
    private static let given = Guarded<Int32>(0)

    /// Moves later descriptors to numbers above all earlier ones.
    ///
    /// Called when the service has closed the descriptors of an endpoint: the library's threads
    /// continue to read and write by the old numbers, which must not be those of the next endpoint.
    static func advance() {
        given.withLock { $0 += span }
    }

    /// The lowest number: 512, or half of `RLIMIT_NOFILE` if that is below 1,024; higher after
    /// ``advance()``.
    ///
    /// select(2) is limited to numbers below 1,024; services that use it keep all the low ones.
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

    /// Duplicates the descriptor to a high number and closes the given one.
    ///
    /// If no high number is free, returns it unchanged.
    static func move(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < lowest else { return descriptor }
        let high = fcntl(descriptor, F_DUPFD_CLOEXEC, lowest)
        guard high >= 0 else { return descriptor }
        close(descriptor)
        return high
    }

    /// Runs `body` while no low number is free, so that files it opens get high ones.
    ///
    /// There is no other way to do this for descriptors that a library opens. It duplicates
    /// `filler` up to a few hundred times, which takes as many system calls. Files that other
    /// threads open at that time get high numbers too.
    static func withLowDescriptorsTaken<Result>(by filler: Int32, _ body: () -> Result) -> Result {
        let end = lowest
        var taken: [Int32] = []
        while true {
            let next = fcntl(filler, F_DUPFD_CLOEXEC, 0)
            if next < 0 { break }
            taken.append(next)
            if next >= end { break }
        }
        // The one beyond the end is not needed, and `body` may need its number.
        if let last = taken.last, last >= end {
            close(last)
            taken.removeLast()
        }
        defer { for descriptor in taken { close(descriptor) } }
        return body()
    }
}
