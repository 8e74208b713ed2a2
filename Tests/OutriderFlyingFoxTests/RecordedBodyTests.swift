// SPDX-License-Identifier: Apache-2.0
// Tests of streamed bodies: when and how they end, and that they arrive unchanged.

#if FlyingFox

    import FlyingFox
    import FlyingSocks
    import Foundation
    import Glibc
    import OutriderFlyingFox
    import OutriderTesting
    import Synchronization
    import TestSupport
    import Testing

    /// A body that is produced piece by piece while it is sent.
    private struct Pieces: AsyncBufferedSequence {
        typealias Element = UInt8
        let next: @Sendable (Int) async throws -> [UInt8]?

        init(_ next: @escaping @Sendable (Int) async throws -> [UInt8]?) { self.next = next }

        init(_ pieces: [[UInt8]]) {
            next = { index in index < pieces.count ? pieces[index] : nil }
        }

        func makeAsyncIterator() -> Iterator { Iterator(body: next) }

        struct Iterator: AsyncBufferedIteratorProtocol {
            let body: @Sendable (Int) async throws -> [UInt8]?
            var index = 0

            mutating func next() async throws -> UInt8? { nil }

            mutating func nextBuffer(suggested count: Int) async throws -> [UInt8]? {
                defer { index += 1 }
                return try await body(index)
            }
        }
    }

    private func streaming(_ pieces: Pieces) -> RoutedHTTPHandler {
        var routes = RoutedHTTPHandler()
        routes.appendRoute("GET /feed") { _ in
            HTTPResponse(statusCode: .ok, body: HTTPBodySequence(from: pieces))
        }
        return routes
    }

    @Suite struct RecordedBodyTests {
        @Test func `a stream is timed to its last byte, and to its first`() async throws {
            let recording = Recording { $0.recordsTimeToFirstByte = true }
            let clock = recording.clock
            let routes = streaming(
                Pieces { index in
                    clock.advance(by: .seconds(1))
                    return index < 3 ? Array("piece".utf8) : nil
                })
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                _ = try await askForAll("/feed", address)
            }
            #expect(try await recording.eventually { $0.requests("GET", "/feed", 200) == 1 })
            #expect(recording.requests("GET", "/feed", 200, "sum") == 4)
            let firstBytes = try recording.registry.exposition()
                .family("http_server_time_to_first_byte_seconds")
            #expect(firstBytes?.samples.first { $0.name.hasSuffix("_sum") }?.value == 0)
        }

        @Test func `a streaming route is timed to its head alone`() async throws {
            let recording = Recording { $0.streamingRoutes = ["/feed"] }
            let clock = recording.clock
            let routes = streaming(
                Pieces { index in
                    clock.advance(by: .seconds(100))
                    return index < 3 ? [1] : nil
                })
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                _ = try await askForAll("/feed", address)
            }
            #expect(try await recording.eventually { $0.requests("GET", "/feed", 200) == 1 })
            #expect(recording.requests("GET", "/feed", 200, "sum") == 0)
        }

        @Test func `a stream's bytes are the same as without a recorder`() async throws {
            let recording = Recording { $0.recordsBodySizes = true }
            let sizes = [1, 15, 16, 4_095, 4_096, 4_097, 70_000, 2]
            let pieces = sizes.enumerated().map { index, size in
                // Line ends and digits, which look like framing.
                (0..<size).map { Array("1\r\n0\r\n\r\n".utf8)[($0 + index) % 8] }
            }
            let plain = try await serving(streaming(Pieces(pieces))) { _, address in
                try await askForAll("/feed", address)
            }
            let handler = streaming(Pieces(pieces)).recorded(by: recording.recorder)
            let recorded = try await serving(handler) { _, address in
                try await askForAll("/feed", address)
            }
            #expect(plain.count > sizes.reduce(0, +))
            #expect(recorded == plain)
            #expect(try await recording.eventually { $0.requests("GET", "/feed", 200) == 1 })
            let family = try recording.registry.exposition()
                .family("http_server_response_body_size_bytes")
            let sum = family?.samples.first { $0.name.hasSuffix("_sum") }?.value
            #expect(sum == Double(sizes.reduce(0, +)))
        }

        @Test func `a large file arrives complete and is counted then`() async throws {
            let recording = Recording()
            let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
            let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try Data(bytes).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            var routes = RoutedHTTPHandler()
            routes.appendRoute(
                "GET /file", to: FileHTTPHandler(path: file, contentType: "a/b"))
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let answer = try await ask("/file", address)
                #expect(answer.header("Content-Length") == "700000")
                #expect(answer.body == bytes)
                // The server reads on in the file after its client has received all of it.
                #expect(try await recording.eventually { $0.requests("GET", "/file", 200) == 1 })
            }
            #expect(recording.registry.value("http_server_aborted_requests_total") == nil)
        }

        @Test func `a client that disconnects during the response is not a server error`()
            async throws
        {
            let recording = Recording()
            let gone = Gate()
            let routes = streaming(
                Pieces { index in
                    if index > 0 { await gone.wait() }
                    return [UInt8](repeating: 0x61, count: 100_000)
                })
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /feed HTTP/1.1\r\nHost: a\r\n\r\n")
                    _ = try connection.bytes(100)
                }
                gone.open()
                let isCounted = try await recording.eventually {
                    $0.requests("GET", "/feed", 200, error: "client_disconnect") == 1
                }
                #expect(isCounted)
            }
            try recording.registry.expect(
                "http_server_aborted_requests_total", ["http_route": "/feed"], 1)
            #expect(recording.active("GET") == 0)
        }

        @Test(arguments: [false, true])
        func `a client that disconnects during its own request body is counted as 499`(
            isAbrupt: Bool
        ) async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("POST /orders") { request in
                .text("\(try await request.bodyData.count)")
            }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    if isAbrupt { connection.hangUpAbruptly() }
                    try connection.send(
                        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nhello")
                    #expect(eventually { recording.active("POST") == 1 })
                }
                let isCounted = try await recording.eventually {
                    $0.requests("POST", "/orders", 499, error: "client_disconnect") == 1
                }
                #expect(isCounted)
            }
            #expect(try recording.total() == 1)
            #expect(recording.active("POST") == 0)
        }

        @Test func `a lost connection to another service is a failure of this service`()
            async throws
        {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /proxy") { _ in throw SocketError.disconnected }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let status = try await ask("/proxy", address).status
                #expect(status == 500)
            }
            #expect(recording.requests("GET", "/proxy", 500, error: "SocketError") == 1)
        }

        @Test(arguments: [
            SocketError.disconnected, .failed(type: "Read", errno: ECONNRESET, message: ""),
        ])
        func `an echo that fails on its client's disconnect counts as a client disconnect`(
            error: SocketError
        ) async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("POST /echo") { _ in
                let pieces = Pieces { index in
                    if index > 0 { throw error }
                    return [1]
                }
                return HTTPResponse(statusCode: .ok, body: HTTPBodySequence(from: pieces))
            }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na")
                    connection.drain()
                }
                let isCounted = try await recording.eventually {
                    $0.requests("POST", "/echo", 200, error: "client_disconnect") == 1
                }
                #expect(isCounted)
            }
        }

        @Test func `a stream that fails counts as aborted, with its error`() async throws {
            let recording = Recording()
            let routes = streaming(
                Pieces { index in
                    if index > 0 { throw OutOfStock() }
                    return [1]
                })
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                _ = try await askForAll("/feed", address)
            }
            let isCounted = try await recording.eventually {
                $0.requests("GET", "/feed", 200, error: "OutOfStock") == 1
            }
            #expect(isCounted)
            try recording.registry.expect(
                "http_server_aborted_requests_total", ["http_route": "/feed"], 1)
        }

        @Test func `a stream that the server stops counts as aborted`() async throws {
            let recording = Recording()
            let routes = streaming(
                Pieces { index in
                    if index > 0 { await Gate().wait() }
                    try Task.checkCancellation()
                    return [1]
                })
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /feed HTTP/1.1\r\nHost: a\r\n\r\n")
                    _ = try connection.bytes(10)
                }
            }
            #expect(recording.requests("GET", "/feed", 200, error: "client_disconnect") == 1)
        }

        @Test func `small bodies are counted by size`() async throws {
            let recording = Recording { $0.recordsBodySizes = true }
            var routes = RoutedHTTPHandler()
            routes.appendRoute("POST /orders") { _ in .text("12345") }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                    #expect(try connection.response().text == "12345")
                }
            }
            let exposition = try recording.registry.exposition()
            for (direction, size) in [("request", 3.0), ("response", 5.0)] {
                let family = exposition.family("http_server_\(direction)_body_size_bytes")
                #expect(family?.samples.first { $0.name.hasSuffix("_sum") }?.value == size)
            }
        }
    }

    @Suite struct ChunkFramingTests {
        @Test func `framing is removed wherever the pieces are split`() throws {
            let framed = Array(
                "3\r\nabc\r\n0a\r\n0123456789\r\nF\r\n\r\n0\r\n\r\n34567890\r\n0\r\n\r\n".utf8)
            for length in 1...framed.count {
                var framing = ChunkFraming()
                var payload = Data()
                for start in stride(from: 0, to: framed.count, by: length) {
                    let end = min(start + length, framed.count)
                    payload += try framing.decode(Data(framed[start..<end]))
                }
                #expect(framing.isAtEnd)
                #expect(
                    String(decoding: payload, as: UTF8.self) == "abc0123456789\r\n0\r\n\r\n34567890"
                )
            }
        }

        @Test(arguments: ["hello", "\r\n", "3xyz", "ffffffffffffffff\r\n", "3\r\nabcd\r\n"])
        func `input that does not start like a chunk passes unchanged`(_ text: String) throws {
            var framing = ChunkFraming()
            for _ in 0..<2 {
                #expect(try framing.decode(Data(text.utf8)) == Data(text.utf8))
            }
            #expect(!framing.isAtEnd)
        }

        @Test func `framing that breaks off is an error`() throws {
            var framing = ChunkFraming()
            #expect(try framing.decode(Data("1\r\na\r\n".utf8)) == Data("a".utf8))
            #expect(throws: ChunkFraming.Malformed.self) { try framing.decode(Data("x".utf8)) }
        }
    }

#endif
