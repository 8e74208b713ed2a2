// SPDX-License-Identifier: Apache-2.0
// Tests of FakeProc, a directory of files that is removed with its object and cannot be left.

import Glibc
import OutriderTesting
import Testing

@Suite struct FakeProcTests {
    private func text(_ path: String) -> String? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 100_000)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    @Test func `files are created at their paths`() throws {
        let long = String(repeating: "x", count: 70_000)
        let proc = try FakeProc(["self/stat": "1 (a)", "self/fd/3": "", "long": long])
        #expect(text("\(proc.path)/self/stat") == "1 (a)")
        #expect(text("\(proc.path)/self/fd/3") == "")
        #expect(text("\(proc.path)/long") == long)
    }

    @Test func `each FakeProc has its own directory`() throws {
        let (one, other) = (try FakeProc(["a": "1"]), try FakeProc(["a": "2"]))
        #expect(one.path != other.path)
        #expect(text("\(one.path)/a") == "1")
    }

    @Test func `a file can be replaced and removed`() throws {
        let proc = try FakeProc(["self/io": "a longer text"])
        try proc.write("self/io", "short")
        #expect(text("\(proc.path)/self/io") == "short")
        try proc.write("new/er/file", "x")
        #expect(text("\(proc.path)/new/er/file") == "x")
        try proc.remove("self/io")
        #expect(!exists("\(proc.path)/self/io"))
        try proc.remove("new")
        #expect(!exists("\(proc.path)/new"))
    }

    @Test func `no file is left behind, and links are not followed`() throws {
        let other = try FakeProc(["kept/file": "x"])
        var proc: FakeProc? = try FakeProc(["self/fd/3": "", "self/stat": ""])
        let path = try #require(proc?.path)
        #expect(unsafe symlink("\(other.path)/kept", "\(path)/link") == 0)
        proc = nil
        #expect(!exists(path))
        #expect(exists("\(other.path)/kept/file"))
    }

    @Test(arguments: [
        "", "/etc/passwd", "..", "../x", "self/../../x", ".", "self//stat", "self/", "a\0b",
    ])
    func `a path outside the directory is refused`(path: String) throws {
        let proc = try FakeProc(["self/stat": ""])
        #expect(throws: FakeProcError.self) { try proc.write(path, "x") }
        let error = #expect(throws: FakeProcError.self) { try proc.remove(path) }
        #expect(error?.path == path)
        #expect(error?.errno == nil)
        #expect(throws: FakeProcError.self) { try FakeProc([path: ""]) }
    }

    @Test func `errors of the system are reported`() throws {
        let proc = try FakeProc(["file": ""])
        let inFile = #expect(throws: FakeProcError.self) { try proc.write("file/x", "") }
        #expect("\(inFile as Any)".contains("\"file/x\": it cannot be written (errno \(ENOTDIR))"))
        let absent = #expect(throws: FakeProcError.self) { try proc.remove("absent") }
        #expect(absent?.errno == ENOENT)
        try proc.write("directory/x", "")
        #expect(throws: FakeProcError.self) { try proc.write("directory", "") }
    }
}
