// SPDX-License-Identifier: Apache-2.0
// Wakes every waiting page when the endpoint stops: a pipe with a byte in it that is never read. A
// page also waits for its client, and poll(2) can wait for both at once.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A signal that is raised once and seen by all waiters.
final class StopSignal: Sendable {
    /// Reported when the client has shut down its sending side. Elsewhere only a broken connection
    /// is seen.
    #if os(Linux)
        private static let clientDisconnected: Int16 = 0x2000  // POLLRDHUP, which Glibc hides
    #else
        private static let clientDisconnected: Int16 = 0
    #endif

    /// Longer than any real wait, and small enough for every clock.
    private static let longest: Duration = .seconds(86_400)

    private let time: any TimeSource
    private let raised = Guarded(false)
    private let readEnd: OwnedDescriptor
    private let writeEnd: OwnedDescriptor

    /// A signal that is not raised; nil if no descriptors are left.
    init?(time: any TimeSource) {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        readEnd = OwnedDescriptor(HighDescriptors.move(ends[0]))
        writeEnd = OwnedDescriptor(HighDescriptors.move(ends[1]))
        self.time = time
    }

    deinit {
        readEnd.closeIfOwn()
        writeEnd.closeIfOwn()
    }

    /// Readable once the signal is raised.
    var descriptor: Int32 { readEnd.number }

    /// Whether it is raised; kept apart from the pipe, which other code can close.
    var isRaised: Bool { raised.withLock { $0 } }

    /// Wakes all current and later waiters.
    func raise() {
        raised.withLock { $0 = true }
        var byte: UInt8 = 1
        // One byte always fits. A second raise writes a second byte, which changes nothing.
        if writeEnd.isOwn { _ = unsafe write(writeEnd.number, &byte, 1) }
    }

    /// Waits until `duration` has passed, the client (if any) disconnects, or the signal is raised.
    func wait(for duration: Duration, client: Int32 = -1) -> Request.PauseResult {
        let deadline = time.now + min(max(duration, .zero), Self.longest)
        while true {
            var waiting = [
                pollfd(fd: readEnd.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: client, events: Self.clientDisconnected, revents: 0),
            ]
            let found = time.poll(&waiting, until: deadline)
            if waiting[0].revents != 0 { return .stopping }
            if waiting[1].revents != 0 { return .clientDisconnected }
            if found < 0 || time.now >= deadline { return .elapsed }
        }
    }
}
