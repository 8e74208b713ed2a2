// SPDX-License-Identifier: Apache-2.0
// A fake /proc directory, for tests of what the kernel reports.

/// A tree of files in a new temporary directory, which is removed with this object.
///
/// ```swift
/// let proc = try FakeProc(["self/stat": "42 (shop) S 1 …", "self/fd/3": ""])
/// try registry.register(ProcessCollector(proc: proc.path))
/// ```
///
/// Keep the object for as long as the files are read. Thread-safe to the extent that files are: a
/// read during a write may return part of the file.
public final class FakeProc: Sendable {
    /// The path of the directory, without a trailing slash.
    public let path: String

    /// Creates the directory with these files, given as texts by relative path.
    ///
    /// It is created in `$TMPDIR`, or in `/tmp` if that is not set.
    ///
    /// - Throws: ``FakeProcError`` if a path leads out of the directory or cannot be written.
    ///   Nothing is left behind in that case.
    public init(_ files: [String: String] = [:]) throws(FakeProcError) {
        path = try FileTree.makeDirectory()
        // From here on, `deinit` removes the directory even if this initialiser throws.
        for (path, text) in files.sorted(by: { $0.key < $1.key }) { try write(path, text) }
    }

    deinit {
        FileTree.remove(path)
    }

    /// Writes a file and the directories that contain it, replacing an existing file.
    ///
    /// - Throws: ``FakeProcError`` if the path is absolute, has a component that is empty, `.` or
    ///   `..`, or cannot be written.
    public func write(_ path: String, _ text: String) throws(FakeProcError) {
        let components = try Self.components(of: path)
        var directory = self.path
        for component in components.dropLast() {
            directory += "/\(component)"
            if let number = FileTree.makeDirectory(at: directory) {
                throw FakeProcError(
                    path: path, problem: "its directory cannot be created", errno: number)
            }
        }
        if let number = FileTree.write(Array(text.utf8), to: "\(self.path)/\(path)") {
            throw FakeProcError(path: path, problem: "it cannot be written", errno: number)
        }
    }

    /// Removes a file, or a directory with its contents.
    ///
    /// - Throws: ``FakeProcError`` if the path leads out of the directory, does not exist or cannot
    ///   be removed.
    public func remove(_ path: String) throws(FakeProcError) {
        _ = try Self.components(of: path)
        if let number = FileTree.remove("\(self.path)/\(path)") {
            throw FakeProcError(path: path, problem: "it cannot be removed", errno: number)
        }
    }

    /// The components of a path that stays within the directory.
    private static func components(of path: String) throws(FakeProcError) -> [Substring] {
        func refusal(_ problem: String) -> FakeProcError {
            FakeProcError(path: path, problem: problem, errno: nil)
        }
        if path.hasPrefix("/") { throw refusal("an absolute path is outside the directory") }
        if path.utf8.contains(0) { throw refusal("a path must not contain a zero byte") }
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        if components.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) {
            throw refusal("a path must not contain a component that is empty, \".\" or \"..\"")
        }
        return components
    }
}
