// SPDX-License-Identifier: Apache-2.0
// A directory that stands for /proc, so that a test decides what the kernel says.

/// A tree of files in a fresh temporary directory, which is removed with this object.
///
/// ```swift
/// let proc = try FakeProc(["self/stat": "42 (shop) S 1 …", "self/fd/3": ""])
/// try registry.register(ProcessCollector(proc: proc.path))
/// ```
///
/// Keep the object for as long as somebody reads the files. Thread-safe as far as files are: who
/// reads one while it is written may see a part of it.
public final class FakeProc: Sendable {
    /// The directory, without a slash at the end.
    public let path: String

    /// Makes a directory with these files: texts by their paths within it.
    ///
    /// It lies in `$TMPDIR`, or in `/tmp` if that is not set.
    ///
    /// - Throws: ``FakeProcError`` if a path is not one within the directory or cannot be written.
    ///   Nothing is left behind then.
    public init(_ files: [String: String] = [:]) throws(FakeProcError) {
        path = try FileTree.makeDirectory()
        // From here on, `deinit` removes the directory even if this throws.
        for (path, text) in files.sorted(by: { $0.key < $1.key }) { try write(path, text) }
    }

    deinit {
        FileTree.remove(path)
    }

    /// Writes a file, and the directories that it stands in; one that is there is replaced.
    ///
    /// - Throws: ``FakeProcError`` if the path is absolute, has a component `.`, `..` or an empty
    ///   one, or cannot be written.
    public func write(_ path: String, _ text: String) throws(FakeProcError) {
        let components = try Self.components(of: path)
        var directory = self.path
        for component in components.dropLast() {
            directory += "/\(component)"
            if let number = FileTree.makeDirectory(at: directory) {
                throw FakeProcError(
                    path: path, problem: "its directory cannot be made", errno: number)
            }
        }
        if let number = FileTree.write(Array(text.utf8), to: "\(self.path)/\(path)") {
            throw FakeProcError(path: path, problem: "it cannot be written", errno: number)
        }
    }

    /// Removes a file, or a directory with all that is in it.
    ///
    /// - Throws: ``FakeProcError`` if the path is not one within the directory, or if nothing is
    ///   there or it cannot be removed.
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
        if path.hasPrefix("/") { throw refusal("an absolute path is not within the directory") }
        if path.utf8.contains(0) { throw refusal("a path cannot have a zero byte") }
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        if components.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) {
            throw refusal("a path may not have a component that is empty, \".\" or \"..\"")
        }
        return components
    }
}
