// SPDX-License-Identifier: Apache-2.0
// A check that the process can open files: if it cannot, a waiting Dispatch job can crash it.
//
// On Linux, if jobs wait for a thread, Dispatch checks once a second how many threads of its pool
// can run. It opens /proc/self/task/*/stat for that, and executes an illegal instruction if it
// cannot (`_dispatch_workq_monitor_pools` in src/event/workqueue.c of swift-corelibs-libdispatch).
// The service's own jobs are its responsibility; a probe must not be the job that waits at that
// moment.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The descriptors of the process.
enum Descriptors {
    /// Number of descriptors that must be free: others may be opened while a job waits.
    private static let margin: Int32 = 16

    /// Whether enough descriptors are free; 2 us, once per tick.
    ///
    /// The kernel assigns the lowest free number, so a number near the limit means that few are
    /// free.
    static var areLeft: Bool {
        guard let limit = ResourceLimit.openFiles.soft else { return false }
        let descriptor = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return Double(descriptor + margin) < limit
    }
}
