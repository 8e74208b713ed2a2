// SPDX-License-Identifier: Apache-2.0
// Whether the process can open a file: without that, a job that waits can end it.
//
// On Linux, Dispatch looks once a second how many threads of its pool can run, if jobs wait for one. It
// opens /proc/self/task/*/stat for that, and executes an illegal instruction if it cannot
// (`_dispatch_workq_monitor_pools` in src/event/workqueue.c of swift-corelibs-libdispatch). What a
// service enqueues is its own; a probe must not be the job that waits at that moment.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The descriptors of the process.
enum Descriptors {
    /// As many must be left: those who come for the last ones come while a job waits.
    private static let margin: Int32 = 16

    /// Whether there are some left; 2 us, once a beat.
    ///
    /// The kernel gives the lowest number that is free, so one near the limit is one of the last.
    static var areLeft: Bool {
        guard let limit = ResourceLimit.openFiles.soft else { return false }
        let descriptor = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return Double(descriptor + margin) < limit
    }
}
