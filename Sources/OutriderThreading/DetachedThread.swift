// SPDX-License-Identifier: Apache-2.0
// Threads of our own, for work that may hang: none of the host's pools must be able to starve it,
// and it must not take a thread of theirs away.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A thread that nobody joins.
public enum DetachedThread {
    /// Room for code of the service's own, such as a collector or a callback; what is not touched
    /// costs address space alone.
    private static let stackSize = 2 << 20

    /// Runs `body` on a new thread, with the host's signals blocked; false if there is none to be
    /// had, in which case `body` does not run.
    ///
    /// - Parameters:
    ///   - name: How the kernel knows the thread, 15 bytes at most; nil leaves it its maker's name.
    ///   - body: What it does.
    public static func start(
        named name: StaticString? = nil, _ body: @escaping @Sendable () -> Void
    ) -> Bool {
        start(named: name, stackSize: stackSize, body)
    }

    /// Room for what recurses as deep as something of the host's is nested, such as a demangler.
    private static let deepStackSize = 16 << 20

    /// Runs `body` on a new thread with 16 MiB of stack, of which only what is touched costs memory; false if
    /// there is none to be had.
    package static func startWithDeepStack(_ body: @escaping @Sendable () -> Void) -> Bool {
        start(named: nil, stackSize: deepStackSize, body)
    }

    /// The same, waiting for its result; nil if there is no such thread to be had.
    package static func withDeepStack<Result: Sendable>(
        _ body: @escaping @Sendable () -> Result
    ) -> Result? {
        let result = Guarded<Result?>(nil)
        let done = Latch()
        let isStarted = startWithDeepStack {
            let made = body()
            result.withLock { $0 = made }
            done.open()
        }
        guard isStarted else { return nil }
        while !done.wait(for: .seconds(3_600)) {}
        return result.withLock { $0 }
    }

    private static func start(
        named name: StaticString?, stackSize: Int, _ body: @escaping @Sendable () -> Void
    ) -> Bool {
        final class Work: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        let work = unsafe Unmanaged.passRetained(
            Work {
                if let name { nameThread(name) }
                body()
            })
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackSize)
        #if canImport(Glibc)
            var thread = pthread_t()
        #else
            var thread: pthread_t?
        #endif
        let failed = withSignalsBlocked {
            unsafe pthread_create(
                &thread, &attributes,
                { argument in
                    #if os(Linux)
                        guard let argument = unsafe argument else { return nil }
                    #endif
                    // SAFETY: the reference was retained for this thread alone.
                    unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                    return nil
                }, work.toOpaque())
        }
        if failed != 0 { unsafe work.release() }
        return failed == 0
    }

    /// Gives the calling thread a name, for those who look at it from outside (proc_pid_comm(5)).
    private static func nameThread(_ name: StaticString) {
        #if os(Linux)
            let file = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            // SAFETY: the bytes of a literal live for ever.
            _ = unsafe write(file, name.utf8Start, name.utf8CodeUnitCount)
            close(file)
        #endif
    }
}

/// Runs `body` with the host's signals blocked, so that threads it starts never handle them.
///
/// Signals that tell of a fault in the thread itself stay open: blocked, they would end the process
/// before a crash reporter of the host could speak.
public func withSignalsBlocked<Result>(_ body: () -> Result) -> Result {
    var blocked = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&blocked)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
        unsafe sigdelset(&blocked, fault)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &blocked, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    return body()
}

/// Runs `body` with those signals open that Dispatch leaves open on its threads, and blocks them again.
///
/// For a thread of ours that may cause Dispatch to start another one, which inherits what is blocked:
/// blocked there, the samples of a profiler of the host's would be lost.
public func withWorkerSignalsOpen(_ body: () -> Void) {
    var open = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&open)
    for signal in [SIGPROF, SIGPIPE] { unsafe sigaddset(&open, signal) }
    unsafe pthread_sigmask(SIG_UNBLOCK, &open, &before)
    body()
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
}
