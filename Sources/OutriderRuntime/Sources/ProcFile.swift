// SPDX-License-Identifier: Apache-2.0
// Reads small kernel files whole, once, without stdio.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Small files of procfs and cgroupfs, read whole.
enum ProcFile {
    /// The default limit, larger than any file that is read here.
    static let usualLimit = 64 << 10

    /// The content of a file that is smaller than `limit`, unless its source is switched off.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - limit: Its maximum size, in bytes.
    ///   - source: Its name in `pauses`.
    ///   - pauses: The pauses of the reading that it belongs to.
    static func read(
        _ path: String, limit: Int = usualLimit, source: String, pauses: ReadingPauses
    ) -> Result<[UInt8], SourceFailure> {
        guard pauses.mayRead(source) else { return .failure(.switchedOff) }
        return read(path, limit: limit) { call in pauses.measure(source, call) }
    }

    /// The content of a file that is smaller than `limit`; `each` wraps each read call.
    static func read(
        _ path: String, limit: Int = usualLimit, each: (() -> Int?) -> Int? = { $0() }
    ) -> Result<[UInt8], SourceFailure> {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            return .failure(errno == ENOENT || errno == ESRCH ? .missing : .unreadable)
        }
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: min(limit, 4 << 10))
        var count = 0
        while true {
            guard let part = each({ fill(&content, from: count, descriptor) }) else {
                return .failure(errno == ESRCH ? .missing : .unreadable)
            }
            count += part
            if part == 0 {
                content.removeLast(content.count - count)
                return .success(content)
            }
            if count < content.count { continue }
            // If the buffer is full, another read is needed to see whether the file ends here.
            if count >= limit { return .failure(.tooLarge) }
            content += [UInt8](repeating: 0, count: min(content.count, limit - content.count))
        }
    }

    private static func fill(_ content: inout [UInt8], from start: Int, _ descriptor: Int32) -> Int?
    {
        let count = unsafe content.withUnsafeMutableBytes { bytes in
            // SAFETY: read(2) writes at most the remaining size of the memory.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            return retrying { unsafe systemRead(descriptor, rest.baseAddress, rest.count) }
        }
        return count < 0 ? nil : count
    }
}

/// Repeats a call while it is interrupted by a signal.
func retrying(_ call: () -> Int) -> Int {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ size: Int) -> Int
{
    unsafe read(descriptor, buffer, size)
}
