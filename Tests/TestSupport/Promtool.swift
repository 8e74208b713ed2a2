// SPDX-License-Identifier: Apache-2.0
// Runs the real promtool, if it is installed.

internal import Glibc

/// The command `promtool`.
public enum Promtool {
    /// The path of the program; nil if no directory of PATH has it.
    public static let path: String? = {
        guard let variable = unsafe getenv("PATH") else { return nil }
        // SAFETY: No code here changes the environment, and the text is copied at once.
        let directories = unsafe String(cString: variable).split(separator: ":")
        return directories.map { "\($0)/promtool" }.first { unsafe access($0, X_OK) == 0 }
    }()

    /// The failure of a promtool run.
    public struct Failure: Error, CustomStringConvertible {
        /// A description of the failure.
        public let description: String
    }

    /// The lines that `promtool check metrics` prints for an exposition.
    public static func checkMetrics(_ text: String) throws -> [String] {
        guard let path else { throw Failure(description: "promtool is not installed") }
        // One socket serves as all three standard streams. Other child processes do not inherit
        // this end.
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw Failure(description: "socketpair: errno \(errno)")
        }
        defer { close(ends[0]) }
        let started = spawn(path, on: ends[1])
        close(ends[1])
        let process = try started.get()

        // promtool reads all input before it prints the first line, so neither side blocks the
        // other.
        let isSent = send(Array(text.utf8), to: ends[0])
        shutdown(ends[0], Int32(SHUT_WR))
        let lines = receive(from: ends[0]).split(separator: "\n").map(String.init)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
        // 0: no findings, 3: advice.
        guard isSent, status == 0 || status == 3 << 8 else {
            throw Failure(description: "promtool, status \(status): \(lines.prefix(5))")
        }
        return lines
    }

    private static func spawn(_ path: String, on socket: Int32) -> Result<pid_t, Failure> {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for stream: Int32 in 0...2 {
            unsafe posix_spawn_file_actions_adddup2(&actions, socket, stream)
        }
        // SAFETY: The strings are freed after posix_spawn(3) has copied them.
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe []
        for argument in ["promtool", "check", "metrics"] {
            unsafe arguments.append(strdup(argument))
        }
        unsafe arguments.append(nil)
        defer {
            for index in unsafe arguments.indices { unsafe free(arguments[index]) }
        }
        var process: pid_t = 0
        let number = unsafe posix_spawn(&process, path, &actions, nil, &arguments, environ)
        return number == 0
            ? .success(process) : .failure(Failure(description: "posix_spawn: errno \(number)"))
    }

    private static func send(_ bytes: [UInt8], to socket: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func receive(from socket: Int32) -> String {
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe part.withUnsafeMutableBytes {
                unsafe recv(socket, $0.baseAddress, $0.count, 0)
            }
            if count <= 0 { return String(decoding: all, as: UTF8.self) }
            all += part.prefix(count)
        }
    }
}
