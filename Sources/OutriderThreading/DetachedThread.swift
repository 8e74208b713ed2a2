// SPDX-License-Identifier: Apache-2.0
// Dedicated threads for work that may hang: the host's thread pools cannot starve it, and it does
// not block one of their threads.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A thread that is never joined.
public enum DetachedThread {
    /// Enough for code of the service, such as a collector or a callback; untouched pages only cost
    /// address space.
    private static let stackSize = 2 << 20

    /// Runs `body` on a new thread, with the host's signals blocked; false if no thread can be
    /// started, in which case `body` does not run.
    ///
    /// - Parameters:
    ///   - name: The kernel's name for the thread, at most 15 bytes; nil inherits the creator's
    ///     name.
    ///   - body: The work of the thread.
    public static func start(
        named name: StaticString? = nil, _ body: @escaping @Sendable () -> Void
    ) -> Bool {
        start(named: name, stackSize: stackSize, body)
    }

    /// Enough for code that recurses as deep as the host's data is nested, such as a demangler.
    private static let deepStackSize = 16 << 20

    /// Runs `body` on a new thread with 16 MiB of stack, of which untouched pages cost no memory;
    /// false if no thread can be started.
    package static func startWithDeepStack(_ body: @escaping @Sendable () -> Void) -> Bool {
        start(named: nil, stackSize: deepStackSize, body)
    }

    /// Runs `body` like that and waits for its result; nil if no thread can be started.
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

    /// Names the calling thread for external tools (proc_pid_comm(5)).
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
/// Signals that report a fault in the thread itself stay unblocked: blocked, they would end the
/// process before the host's crash reporter could run.
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

/// Runs `body` with the signals unblocked that Dispatch leaves unblocked on its threads, and then
/// restores the mask.
///
/// For threads of ours that may cause Dispatch to start a worker, which inherits the mask: if they
/// were blocked there, the samples of a profiler of the host would be lost.
public func withWorkerSignalsOpen(_ body: () -> Void) {
    var open = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&open)
    for signal in [SIGPROF, SIGPIPE] { unsafe sigaddset(&open, signal) }
    unsafe pthread_sigmask(SIG_UNBLOCK, &open, &before)
    body()
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
}
