// SPDX-License-Identifier: Apache-2.0
// The symbolized stack of a hung thread.

internal import COutriderRuntime
internal import COutriderStack
internal import OutriderProfile

/// A thread and its stack at one moment.
struct ThreadStack: Sendable {
    /// The kernel's id of the thread.
    let thread: Int32
    /// Its name in the kernel.
    let name: String
    /// Its state before the capture, from the kernel: `S (sleeping)`, and its system call.
    let state: String
    /// Functions, innermost first, demangled.
    let functions: [String]
    /// Whether it was running a Swift job or a block of Dispatch's main queue.
    let runsJob: Bool

    private static let depth = Int(OUTRIDER_STACK_DEPTH)

    /// Prepares for captures; false if other code uses SIGPROF.
    static func prepare() -> Bool {
        outrider_stack_prepare_tables()
        return outrider_capture_prepare() != 0
    }

    /// Captures the stack of a thread by sending it a signal.
    ///
    /// - Returns: nil if the thread has ended; a stack without functions if it did not respond
    ///   within `patience`.
    static func capture(_ thread: Int32, within patience: Duration) -> ThreadStack? {
        // Read before the signal, which wakes the thread.
        let name = comm(of: thread)
        let state = state(of: thread)
        outrider_stack_prepare_tables()
        var addresses = [UInt](repeating: 0, count: depth)
        var count = 0
        // SAFETY: the C function writes at most `depth` addresses, for which there is room.
        let result = unsafe outrider_capture(
            thread, UInt32(clamping: Int64(patience / .milliseconds(1))), &addresses, depth, &count)
        if result == OUTRIDER_CAPTURE_NO_THREAD { return nil }
        let stack = result == OUTRIDER_CAPTURE_DONE ? Array(addresses.prefix(count)) : []
        let symbols = Symbolizer.shared.symbols(of: Set(stack))
        let mangled = stack.compactMap { symbols[$0]?.mangledName }
        return ThreadStack(
            thread: thread, name: name ?? "?", state: state,
            functions: stack.isEmpty ? [explanation(of: result)] : stack.map(symbols.label),
            runsJob: mangled.contains { $0.contains("swift_job_run") || jobRunners.contains($0) })
    }

    private static let jobRunners: Set<String> = [
        "_dispatch_main_queue_drain", "_dispatch_main_queue_callback_4CF",
    ]

    private static func explanation(of result: outrider_capture_result) -> String {
        switch result {
        case OUTRIDER_CAPTURE_TAKEN: "(no stack: SIGPROF is in use by other code in this process)"
        case OUTRIDER_CAPTURE_TIMEOUT: "(no stack: the thread did not handle SIGPROF in time)"
        case OUTRIDER_CAPTURE_OFF: "(no stack: an earlier capture has not ended)"
        default: "(no stack: unwinding failed)"
        }
    }

    /// The name of a thread of this process; nil if it has ended.
    static func comm(of thread: Int32) -> String? {
        guard case .success(let text) = ProcFile.read("/proc/self/task/\(thread)/comm", limit: 256)
        else { return nil }
        return String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    private static func state(of thread: Int32) -> String {
        var words: [String] = []
        if case .success(let text) = ProcFile.read("/proc/self/task/\(thread)/status", limit: 8192),
            let start = KernelText.line("State:", in: text.span)
        {
            let line = text[KernelText.skipBlanks(start, in: text.span)...]
            words.append(
                String(decoding: line.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }
        if case .success(let text) = ProcFile.read("/proc/self/task/\(thread)/syscall", limit: 1024),
            let number = KernelText.number(0, in: text.span)
        {
            words.append("in system call \(number)")
        }
        return words.joined(separator: ", ")
    }
}
