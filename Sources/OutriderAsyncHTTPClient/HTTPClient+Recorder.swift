// SPDX-License-Identifier: Apache-2.0
// Recording of requests that AsyncHTTPClient sends.

#if AsyncHTTPClient
    public import AsyncHTTPClient
    public import NIOCore
    internal import NIOHTTP1
    public import OutriderHTTP
    internal import OutriderThreading

    extension HTTPClient {
        /// Sends `request` and records it until the head of its response arrives.
        ///
        /// ```swift
        /// let outgoing = HTTPClientRecorder()
        /// let response = try await client.execute(request, timeout: .seconds(1), recorder: outgoing)
        /// ```
        ///
        /// Recorded in `http_client_request_duration_seconds`, by the server in the request's URL
        /// and never by its path; a redirect belongs to the original request. Throws the client's
        /// errors, which `error_type` names: `deadlineExceeded`, `connectTimeout`. A server that
        /// closes or resets the connection is `remoteConnectionClosed`, and an error in a cancelled
        /// task is `cancelled`.
        public func execute(
            _ request: HTTPClientRequest, timeout: TimeAmount, recorder: HTTPClientRecorder
        ) async throws -> HTTPClientResponse {
            try await execute(request, timeout: timeout, recorder: recorder) { $0 }
        }

        /// Sends `request` and records it until `read` has processed its response.
        ///
        /// ```swift
        /// let stock = try await client.execute(
        ///     request, timeout: .seconds(1), recorder: outgoing
        /// ) {
        ///     try JSONDecoder().decode(Stock.self, from: await $0.body.collect(upTo: 65_536))
        /// }
        /// ```
        ///
        /// So the time includes the body, and an incomplete body is an error.
        nonisolated(nonsending)
            public func execute<Result>(
                _ request: HTTPClientRequest, timeout: TimeAmount, recorder: HTTPClientRecorder,
                _ read: nonisolated(nonsending) (HTTPClientResponse) async throws -> Result
            ) async throws -> Result
        {
            let server = PeerAddress(request.url)
            let peer = recorder.peer(server.address, port: server.port)
            let token = recorder.begin(method: request.method.rawValue, to: peer)
            do {
                let response = try await execute(request, timeout: timeout)
                token.setStatus(Int(response.status.code))
                let result = try await read(response)
                token.finish()
                return result
            } catch {
                token.finish(throwing: error)
                throw error
            }
        }

        /// Sends `request` and records it until its response is complete.
        public func execute(
            request: Request, deadline: NIODeadline? = nil, recorder: HTTPClientRecorder
        ) -> EventLoopFuture<Response> {
            // A Unix socket has no host.
            let server =
                request.host.isEmpty
                ? PeerAddress("\(request.url)")
                : PeerAddress(host: request.host, port: request.port)
            let peer = recorder.peer(server.address, port: server.port)
            let token = recorder.begin(method: request.method.rawValue, to: peer)
            let response = execute(request: request, deadline: deadline)
            response.whenComplete { result in
                switch result {
                case .success(let response):
                    token.setStatus(Int(response.status.code))
                    token.finish()
                case .failure(let error):
                    token.finish(throwing: error)
                }
            }
            return response
        }
    }

    extension ClientRequestToken {
        /// Ends it with an error of the client.
        fileprivate func finish(throwing error: any Error) {
            switch error {
            case _ where isCancellation(error): finish(.cancelled)
            case let error as HTTPClientError where error == .cancelled: finish(.cancelled)
            case let error as HTTPClientError: finish(errorType: Self.word(for: error))
            case _ where Self.isEndOfConnection(error):
                finish(errorType: Self.word(for: .remoteConnectionClosed))
            default: finish(.failed(error))
            }
        }

        /// Whether the server ended the connection: by a FIN in its response, or by a reset at any
        /// time.
        private static func isEndOfConnection(_ error: any Error) -> Bool {
            switch error {
            // Excludes servers that could not be reached at all.
            case let error as IOError: Disconnection.isClosing(byErrno: error.errnoCode)
            case let error as ChannelError:
                switch error {
                case .ioOnClosedChannel, .alreadyClosed, .outputClosed, .inputClosed, .eof: true
                default: false
                }
            case let error as HTTPParserError: error == .invalidEOFState
            default: Disconnection.isMeant(byNameOf: error)
            }
        }

        /// The name of an error, such as `deadlineExceeded`, without the details of the request.
        private static func word(for error: HTTPClientError) -> String {
            let text = String(describing: error)
            let name = text.split(separator: ".").last { !$0.isEmpty } ?? "HTTPClientError"
            return String(name.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
        }
    }
#endif
