// SPDX-License-Identifier: Apache-2.0
// Tests of Unix sockets: private to the user, replacing a stale socket, and leaving other files
// alone.

import Glibc
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct UnixSocketTests {
    private func mode(of path: String) -> mode_t? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode : nil
    }

    @Test func `a Unix socket serves, is private to its user, and is removed at the stop`() throws {
        let path = freshSocketPath()
        let endpoint = try startEndpoint(at: .unix(path: path))
        #expect(mode(of: path).map { $0 & 0o777 } == 0o600)
        #expect(try fetch("/hello", from: endpoint.address).text == "hello\n")
        endpoint.stop()
        #expect(mode(of: path) == nil)
    }

    @Test func `a stale socket is replaced`() throws {
        let path = freshSocketPath()
        let first = try startEndpoint(at: .unix(path: path))
        let second = freshSocketPath()
        // As after a crash: the file outlives its listener under another name.
        unsafe #expect(link(path, second) == 0)
        first.stop()
        let endpoint = try startEndpoint(at: .unix(path: second))
        defer { endpoint.stop() }
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
    }

    @Test func `a socket in use is refused`() throws {
        let path = freshSocketPath()
        let first = try startEndpoint(at: .unix(path: path))
        defer { first.stop() }
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: .unix(path: path))
        }
        #expect(error?.code == .addressInUse)
        #expect(try fetch("/hello", from: first.address).status == 200)
    }

    @Test func `a file that is not a socket is left alone`() throws {
        let path = freshSocketPath()
        let file = unsafe open(path, O_CREAT | O_WRONLY, 0o644)
        close(file)
        defer { unsafe unlink(path) }
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: .unix(path: path))
        }
        #expect(error?.code == .unusablePath)
        #expect(mode(of: path).map { $0 & S_IFMT } == S_IFREG)
    }

    @Test(arguments: ["", "relative", "/a\0b", "/tmp/" + String(repeating: "x", count: 150)])
    func `an invalid socket path is refused`(path: String) {
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: .unix(path: path))
        }
        #expect(error?.code == .invalidAddress)
    }

    @Test func `a missing directory is an error that says so`() throws {
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: .unix(path: "/nonexistent/a.sock"))
        }
        #expect(error?.code == .unusablePath)
    }

    @Test func `another process's socket at the same path is not removed at the stop`() throws {
        let path = freshSocketPath()
        let first = try startEndpoint(at: .unix(path: path))
        unsafe unlink(path)
        let second = try startEndpoint(at: .unix(path: path))
        defer { second.stop() }
        first.stop()
        #expect(try fetch("/hello", from: second.address).status == 200)
    }
}
