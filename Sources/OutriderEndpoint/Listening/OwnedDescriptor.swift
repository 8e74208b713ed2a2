// SPDX-License-Identifier: Apache-2.0
// A descriptor that we opened, and how we know that it is still the one.
//
// Some services close descriptors that they do not know, before they start to work. The kernel gives the lowest
// number that is free, so the next sockets of such a service have the numbers that were ours, and our calls would
// reach them. Two things help. Our descriptors have high numbers, beyond what such services close, and where a
// service closes all of them, its next ones have low numbers. And before we shut, close or read one by ourselves, we
// look whether the file behind it is the one that we opened.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The number of a descriptor, and the file that was behind it when it was opened.
struct OwnedDescriptor: Sendable {
    /// Its number; another file may have it by now, see ``isOwn``.
    let number: Int32
    private let device: UInt
    private let node: UInt

    /// Remembers what is behind a descriptor at this moment.
    init(_ number: Int32) {
        self.number = number
        (device, node) = Self.identity(of: number) ?? (0, 0)
    }

    /// Whether the file that was opened is still behind the number; costs one fstat(2).
    ///
    /// The kernel numbers sockets and pipes as they are made, so that two have the same number only after four
    /// billion others.
    var isOwn: Bool {
        guard number >= 0, let (device, node) = Self.identity(of: number) else { return false }
        return device == self.device && node == self.node
    }

    /// Closes it if it is ours; returns whether it was.
    @discardableResult
    func closeIfOwn() -> Bool {
        guard isOwn else { return false }
        close(number)
        return true
    }

    private static func identity(of descriptor: Int32) -> (device: UInt, node: UInt)? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        return (UInt(truncatingIfNeeded: status.st_dev), UInt(truncatingIfNeeded: status.st_ino))
    }
}

/// The numbers that our descriptors have.
enum HighNumbers {
    private static let usual: Int32 = 512
    /// More than an endpoint has at one time.
    private static let span: Int32 = 1_024
    private static let given = Guarded<Int32>(0)

    /// Leaves the numbers that are in use to those who have them.
    ///
    /// Called where the service has closed what was open under them: the library's threads know these numbers, and
    /// write and read there until the process ends. So the next endpoint has others.
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
