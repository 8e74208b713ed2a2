// SPDX-License-Identifier: Apache-2.0
// The file system calls that a fake /proc needs; each returns errno, or nil on success.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Creates and removes files and directories.
enum FileTree {
    /// Creates a directory with a unique name, accessible only to its owner (mkdtemp(3)).
    static func makeDirectory() throws(FakeProcError) -> String {
        // SAFETY: nothing here changes the environment, and the text is copied at once.
        let variable = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) }
        let parent = variable.flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        var template = Array("\(parent)/outrider-proc-XXXXXX".utf8CString)
        let isMade = unsafe template.withUnsafeMutableBufferPointer { memory in
            // SAFETY: the memory ends in a zero, and mkdtemp(3) only overwrites the X characters.
            unsafe memory.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
        }
        if !isMade {
            throw FakeProcError(
                path: parent, problem: "no directory can be created here", errno: errno)
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Creates a directory unless it exists.
    static func makeDirectory(at path: String) -> Int32? {
        if unsafe mkdir(path, 0o700) == 0 { return nil }
        let number = errno
        return number == EEXIST ? nil : number
    }

    /// Writes a file, replacing its contents.
    static func write(_ bytes: [UInt8], to path: String) -> Int32? {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if descriptor < 0 { return errno }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { memory in
                // SAFETY: the memory holds as many bytes as are written.
                unsafe systemWrite(descriptor, memory.baseAddress, memory.count)
            }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return errno }
            rest = rest.dropFirst(count)
        }
        return nil
    }

    /// Removes a file, or a directory with its contents; does not follow links.
    @discardableResult
    static func remove(_ path: String) -> Int32? {
        if unsafe unlink(path) == 0 { return nil }
        let number = errno
        // For a directory, unlink(2) fails with EISDIR on Linux and with EPERM elsewhere.
        guard number == EISDIR || number == EPERM else { return number }
        for name in names(in: path) {
            if let number = remove("\(path)/\(name)") { return number }
        }
        return unsafe rmdir(path) == 0 ? nil : errno
    }

    private static func names(in path: String) -> [String] {
        guard let listing = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(listing) }
        var names: [String] = []
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                // SAFETY: readdir(3) ends the name with a zero within the array.
                unsafe String(cString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ size: Int) -> Int {
    unsafe write(descriptor, bytes, size)
}
