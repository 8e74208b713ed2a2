// SPDX-License-Identifier: Apache-2.0
// Reads the token file, for each request that needs it.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The file with the bearer token.
enum TokenFile {
    /// Its first bytes, enough for the longest token; nil if it cannot be read.
    static func read(_ path: String) -> [UInt8]? {
        // Non-blocking: the path could be a pipe without a writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var failed = false
        let content = unsafe [UInt8](unsafeUninitializedCapacity: BearerToken.limit + 2) {
            memory, count in
            // SAFETY: read(2) writes at most the size of the memory.
            let size = unsafe systemRead(descriptor, memory.baseAddress, memory.count)
            failed = size < 0
            count = max(0, size)
        }
        return failed ? nil : content
    }
}

private func systemRead(
    _ descriptor: Int32, _ buffer: UnsafeMutablePointer<UInt8>?, _ size: Int
) -> Int {
    unsafe read(descriptor, buffer, size)
}
