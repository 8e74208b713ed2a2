// SPDX-License-Identifier: Apache-2.0
// The request that a page receives.

/// A GET or HEAD request that passed the checks of syntax, access and rate.
public struct Request: Sendable {
    /// `GET` or `HEAD`.
    public let method: String
    /// The decoded path that selected the page.
    public let path: String
    /// Decoded query arguments, in order; a name may occur more than once.
    public let query: [(name: String, value: String)]
    let headers: [IncomingField]
    private let stopSignal: StopSignal
    private let client: Int32

    /// How a pause ended.
    public enum PauseResult: Sendable {
        /// The duration, or one day, has passed; or poll(2) failed.
        case elapsed
        /// The client has closed its connection or its sending side; it might not read the
        /// response.
        case clientDisconnected
        /// The endpoint is stopping; respond at once, with 503 if no result is ready.
        case stopping
    }

    init(
        method: String, target: RequestTarget, headers: [IncomingField], stopSignal: StopSignal,
        client: Int32
    ) {
        self.method = method
        path = target.path
        query = target.query.map { ($0.name, $0.value) }
        self.headers = headers
        self.stopSignal = stopSignal
        self.client = client
    }

    /// The value of a header field; several fields of one name are joined by commas (RFC 9110
    /// §5.3).
    ///
    /// - Parameter name: The field's name in any case.
    public func header(_ name: String) -> String? {
        let name = name.lowercased()
        let values = headers.lazy.filter { $0.name.lowercased() == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// All values of a query argument.
    public func arguments(_ name: String) -> [String] {
        query.filter { $0.name == name }.map(\.value)
    }

    /// Blocks the calling thread for a while, for example while a profile samples.
    ///
    /// At most one day. Ends early when the client leaves or the endpoint stops. Call it only from
    /// ``Page/respond(to:)``: after that, another connection may have the descriptor. Costs one
    /// poll(2).
    public func pause(for duration: Duration) -> PauseResult {
        stopSignal.wait(for: duration, client: client)
    }
}
