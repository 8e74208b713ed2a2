// SPDX-License-Identifier: Apache-2.0
// A Unix socket is its user's own, replaces a dead one, and leaves everything else alone.

import Glibc
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct UnixSocketTests {
    private func mode(of path: String) -> mode_t? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode : nil
    }

    @Test func `it serves, is for its user only, and goes with the endpoint`() throws {
        let path = freshSocketPath()
        let endpoint = try startEndpoint(at: .unix(path: path))
        #expect(mode(of: path).map { $0 & 0o777 } == 0o600)
        #expect(try fetch("/hello", from: endpoint.address).text == "hello\n")
        endpoint.stop()
        #expect(mode(of: path) == nil)
    }

    @Test func `a socket that nobody listens on any more is replaced`() throws {
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

    @Test func `a socket that somebody listens on is refused`() throws {
        let path = freshSocketPath()
        let first = try startEndpoint(at: .unix(path: path))
        defer { first.stop() }
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: .unix(path: path))
        }
        #expect(error?.code == .addressInUse)
        #expect(try fetch("/hello", from: first.address).status == 200)
    }

    @Test func `a file that is no socket is left alone`() throws {
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
    func `a path that no socket can have is refused`(path: String) {
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

    @Test func `another process' socket at the same path is not removed at the stop`() throws {
        let path = freshSocketPath()
        let first = try startEndpoint(at: .unix(path: path))
        unsafe unlink(path)
        let second = try startEndpoint(at: .unix(path: path))
        defer { second.stop() }
        first.stop()
        #expect(try fetch("/hello", from: second.address).status == 200)
    }
}
