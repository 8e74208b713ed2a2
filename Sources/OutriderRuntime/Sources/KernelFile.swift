// SPDX-License-Identifier: Apache-2.0
// A kernel file that is read at each scrape, with a descriptor that stays open and a reused buffer.
//
// Opening is most of the cost of reading such a file. But the service may close descriptors that it
// does not know and reuse their numbers, and a forked child that kept the parent's `/proc/self`
// would report the parent. So the owner of the descriptor is checked before each read.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is read repeatedly; thread-safe, does not allocate after the first read.
package final class KernelFile: Sendable {
    private struct State: Sendable {
        var descriptor: OwnedDescriptor?
        var process: pid_t = 0
        var buffer: [UInt8] = []
    }

    /// The name under which failures are counted.
    let name: String
    private let path: String
    private let limit: Int
    private let isKept: Bool
    private let failures: SourceFailures
    private let pauses: ReadingPauses
    private let state = Guarded(State())

    /// - Parameters:
    ///   - directory: The directory of the file, such as `/proc`.
    ///   - name: The rest of its path, such as `self/stat`.
    ///   - limit: Its maximum size, in bytes.
    ///   - isKept: Whether the descriptor stays open: only for a file that is never replaced.
    ///   - failures: Counts failures to read or parse the file.
    ///   - pauses: The pauses of the reading that it belongs to.
    package init(
        _ directory: String, _ name: String, limit: Int = 4 << 10, isKept: Bool,
        failures: SourceFailures, pauses: ReadingPauses
    ) {
        self.name = name
        path = "\(directory)/\(name)"
        self.limit = limit
        self.isKept = isKept
        self.failures = failures
        self.pauses = pauses
    }

    deinit {
        state.withLock { state in
            if isOwn(state) { state.descriptor?.closeIfOwn() }
        }
    }

    /// The result of `parse` on the content; nil, and counted, if it cannot be read or parsed.
    package func read<Value>(_ parse: (borrowing Span<UInt8>) -> Value?) -> Value? {
        guard pauses.mayRead(name) else {
            failures.count(name, .switchedOff)
            return nil
        }
        let result: Result<Value, SourceFailure> = state.withLock { state in
            switch pauses.measure(name, { fill(&state) }) {
            case .failure(let failure): return .failure(failure)
            case .success(let count):
                let text = state.buffer.span.extracting(0..<count)
                guard let value = parse(text) else { return .failure(.malformed) }
                return .success(value)
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let failure):
            failures.count(name, failure)
            return nil
        }
    }

    /// Reads the file into the buffer; returns the number of bytes.
    private func fill(_ state: inout State) -> Result<Int, SourceFailure> {
        if state.buffer.isEmpty { state.buffer = Array(repeating: 0, count: limit) }
        if !isOwn(state) { reopen(&state) }
        guard let descriptor = state.descriptor?.number else {
            return .failure(errno == ENOENT ? .missing : .unreadable)
        }
        var count = 0
        while count < limit {
            let part = unsafe state.buffer.withUnsafeMutableBytes { bytes in
                // SAFETY: pread(2) writes at most the remaining size of the buffer.
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[count...])
                return retrying {
                    unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(count))
                }
            }
            if part < 0 { break }
            if part == 0 {
                if !isKept { shut(&state) }
                return .success(count)
            }
            count += part
        }
        shut(&state)
        return .failure(count >= limit ? .tooLarge : .unreadable)
    }

    private func shut(_ state: inout State) {
        state.descriptor?.closeIfOwn()
        state.descriptor = nil
    }

    /// Opens the file; does not close an old number, which may belong to other code by now.
    private func reopen(_ state: inout State) {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
        state.descriptor = number < 0 ? nil : OwnedDescriptor(number)
        state.process = getpid()
    }

    private func isOwn(_ state: State) -> Bool {
        state.process == getpid() && state.descriptor?.isOwn ?? false
    }
}
