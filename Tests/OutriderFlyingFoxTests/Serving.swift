// SPDX-License-Identifier: Apache-2.0
// A FlyingFox server on a free port, a recorder, and requests to the server.

#if FlyingFox

    import FlyingFox
    import FlyingSocks
    import Foundation
    import OutriderEndpoint
    import OutriderFlyingFox
    import OutriderMetrics
    import OutriderTesting
    import Synchronization
    import TestSupport
    import Testing

    /// A recorder whose registry has a manual clock.
    struct Recording {
        let clock = ManualClock(uptime: .seconds(1))
        let log = RecordedMessages()
        let registry: Registry
        let recorder: HTTPRequestRecorder

        init(_ configure: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }) {
            registry = Registry(log: log.log, clock: clock)
            var configuration = HTTPRequestRecorder.Configuration()
            configure(&configuration)
            recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
        }

        /// The value of a duration sample with these labels.
        func requests(
            _ method: String, _ route: String, _ status: Int, error: String = "",
            _ sample: String = "count"
        ) -> Double? {
            registry.value(
                "http_server_request_duration_seconds_\(sample)",
                [
                    "http_request_method": method, "http_route": route, "url_scheme": "http",
                    "http_response_status_code": String(status), "error_type": error,
                ])
        }

        /// The number of recorded requests, over all labels.
        func total() throws -> Double {
            let family = try registry.exposition().family("http_server_request_duration_seconds")
            return (family?.samples ?? []).filter { $0.name.hasSuffix("_count") }
                .reduce(0) { $0 + $1.value }
        }

        /// Requests in flight.
        func active(_ method: String) -> Double? {
            registry.value(
                "http_server_active_requests",
                ["http_request_method": method, "url_scheme": "http"])
        }

        /// Waits until a condition holds.
        func eventually(_ condition: (Recording) -> Bool) async throws -> Bool {
            try await holdsEventually { condition(self) }
        }
    }

    /// Runs a server while `body` sends requests; requests still in flight then are aborted.
    func serving<Result>(
        _ handler: some HTTPHandler, timeout: Double = 60,
        _ body: (HTTPServer, ListenAddress) async throws -> Result
    ) async throws -> Result {
        let server = HTTPServer(
            address: try .inet(ip4: "127.0.0.1", port: 0), timeout: timeout, logger: .disabled,
            handler: handler)
        let running = Task { try await server.run() }
        try await server.waitUntilListening(timeout: 120)
        var port: UInt16 = 0
        if case .ip4(_, let number)? = await server.listeningAddress { port = number }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(server, .loopback(port: port)))
        } catch {
            result = .failure(error)
        }
        await server.stop(timeout: 0)
        _ = await running.result
        return try result.get()
    }

    /// Sends a request and returns its response.
    func ask(
        _ target: String, _ address: ListenAddress, method: String = "GET"
    ) async throws -> RawResponse {
        try await onOwnThread { try fetch(target, from: address, method: method) }
    }

    /// Sends a request and returns all bytes until the server closes the connection.
    func askForAll(_ target: String, _ address: ListenAddress) async throws -> [UInt8] {
        try await onOwnThread {
            let connection = try Connection(address)
            try connection.send("GET \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return try connection.bytes(.max)
        }
    }

    extension Registry {
        /// The exposition in OpenMetrics.
        var openMetrics: String {
            let response = respond(accept: "application/openmetrics-text; version=1.0.0")
            return String(decoding: response.body, as: UTF8.self)
        }
    }

    /// The error that handlers throw.
    struct OutOfStock: Error {}

    extension HTTPResponse {
        static func text(_ text: String, _ status: HTTPStatusCode = .ok) -> HTTPResponse {
            HTTPResponse(statusCode: status, body: Data(text.utf8))
        }
    }

#endif
