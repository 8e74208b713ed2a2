// SPDX-License-Identifier: Apache-2.0
// Reading procfs: small files, whole, without stdio.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Small files of procfs, read whole.
enum ProcFile {
    /// More than any file that is read here has; what is beyond is left unread.
    private static let limit = 16 << 10

    /// The file's content; nil if it cannot be opened or read.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var failed = false
        let content = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
            while count < memory.count {
                // SAFETY: read(2) writes at most what is left of the memory.
                let part = unsafe systemRead(
                    descriptor, memory.baseAddress.map { unsafe $0 + count }, memory.count - count)
                if part < 0 && errno == EINTR { continue }
                failed = part < 0
                if part <= 0 { break }
                count += part
            }
        }
        return failed ? nil : content
    }

    /// The number that follows `key`; nil if it is not there.
    static func number(after key: String, in text: [UInt8]) -> Int? {
        let key = Array(key.utf8)
        guard text.count > key.count else { return nil }
        for start in 0..<(text.count - key.count) where text[start..<start + key.count] == key[...]
        {
            let digits = text[(start + key.count)...].prefix { (0x30...0x39).contains($0) }
            return Int(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }
}

private func systemRead(_ descriptor: Int32, _ place: UnsafeMutablePointer<UInt8>?, _ size: Int)
    -> Int
{
    unsafe read(descriptor, place, size)
}
