// SPDX-License-Identifier: Apache-2.0
// Status codes by their gRPC names.

#if GRPC
    internal import GRPCCore

    /// How a call ended.
    ///
    /// Source: gRPC, "Status codes and their use in gRPC".
    struct CallStatus: Equatable, Sendable {
        private let code: Int

        static let ok = CallStatus(code: 0)
        static let cancelled = CallStatus(.cancelled)
        static let unknown = CallStatus(.unknown)
        static let deadlineExceeded = CallStatus(.deadlineExceeded)

        private static let names = [
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
            "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
            "UNAUTHENTICATED",
        ]

        private static let serverFaults: Set = [
            "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        ]

        /// Statuses by which calls that were given up can fail.
        private static let accidents: Set = ["UNKNOWN", "INTERNAL", "UNAVAILABLE"]

        private init(code: Int) { self.code = code }

        init(_ code: RPCError.Code) { self.code = code.rawValue }

        /// The status that an error becomes on the wire.
        init(of error: any Error) {
            switch error {
            // gRPC reports the cancellation of its own task like this.
            case let error as RPCError where error.cause is CancellationError: self = .cancelled
            case let error as RPCError: self.init(error.code)
            case let error as any RPCErrorConvertible: self.init(error.rpcErrorCode)
            case is CancellationError: self = .cancelled
            default: self = .unknown
            }
        }

        /// The name in capitals: `NOT_FOUND`.
        var name: String { Self.names.indices.contains(code) ? Self.names[code] : "UNKNOWN" }

        /// Whether a call that was given up may end with this status.
        var canComeOfCancellation: Bool { Self.accidents.contains(name) }

        var isOK: Bool { code == 0 }

        /// Whether the server is at fault, rather than the client with a bad request or a
        /// cancellation.
        ///
        /// Source: OpenTelemetry, "Semantic conventions for gRPC", "Server".
        var isServersFault: Bool { Self.serverFaults.contains(name) }
    }
#endif
