// SPDX-License-Identifier: Apache-2.0
// The common part of servers and clients: a timed call, and the metric that it is recorded in.
//
// Names and labels follow OpenTelemetry's conventions for RPC since 1.39 ("RPC metrics", "gRPC"):
// `rpc.server.call.duration` and `rpc.client.call.duration`, the method with its service before a
// slash, the status by its gRPC name.

#if GRPC
    internal import GRPCCore
    internal import OutriderHTTP
    internal import OutriderMetrics
    internal import OutriderThreading
    internal import Synchronization

    /// Counts and times calls; thread-safe.
    final class CallRecorder: Sendable {
        /// The side that records the calls.
        enum Side: Equatable, Sendable {
            case server
            case client(address: String, port: String)
        }

        private let side: Side
        private let durations: Family<Histogram>
        private let active: Family<Gauge>
        private let traceparent: (@Sendable () -> String?)?
        private let log: DiagnosticLog
        /// The registry's identity: recorders of one registry share their series.
        private let registryIdentity: ObjectIdentifier
        fileprivate let uptime: UptimeReader

        init(_ side: Side, registry: Registry, configuration: OutriderCallConfiguration) {
            self.side = side
            traceparent = configuration.traceparent
            uptime = registry.uptime
            log = registry.log
            registryIdentity = ObjectIdentifier(registry)
            let call = ["rpc_system_name", "rpc_method"]
            let result = call + ["rpc_response_status_code", "error_type"]
            let buckets = configuration.buckets
            let limit = configuration.limit
            switch side {
            case .server:
                durations = registry.histogram(
                    "rpc_server_call_duration_seconds",
                    help: "Duration of incoming calls, from start to the end of the response.",
                    labels: result, buckets: buckets, limit: limit)
                active = registry.gauge(
                    "rpc_server_active_calls", help: "Incoming calls in progress.",
                    labels: call, limit: limit)
            case .client:
                let peer = ["server_address", "server_port"]
                durations = registry.histogram(
                    "rpc_client_call_duration_seconds",
                    help: "Duration of outgoing calls, from start until the response was read.",
                    labels: result + peer, buckets: buckets, limit: limit)
                active = registry.gauge(
                    "rpc_client_active_calls", help: "Outgoing calls in progress.",
                    labels: call + peer, limit: limit)
            }
        }

        /// Starts recording a call.
        func begin(_ method: MethodDescriptor, timeout: Duration?) -> RecordedCall {
            RecordedCall(self, method: method.fullyQualifiedMethod, timeout: timeout)
        }

        /// Whether the calls of `other` count in the same series.
        fileprivate func isSame(as other: CallRecorder) -> Bool {
            registryIdentity == other.registryIdentity && side == other.side
        }

        /// Logs once that an interceptor is installed twice, and that each call still counts once.
        func warnAboutDuplicate(_ interceptor: String) {
            log.reportOnce(
                .warning,
                """
                \(interceptor) was added twice for the same calls; only the first one counts them. Add \
                it once
                """)
        }

        fileprivate func gauge(of method: String) -> Gauge {
            switch side {
            case .server: active.with("grpc", method)
            case .client(let address, let port): active.with("grpc", method, address, port)
            }
        }

        fileprivate func record(_ status: CallStatus, method: String, since began: UInt64) {
            let now = uptime.nanoseconds
            let histogram =
                switch side {
                case .server:
                    durations.with(
                        "grpc", method, status.name, status.isServersFault ? status.name : "")
                case .client(let address, let port):
                    durations.with(
                        "grpc", method, status.name, status.isOK ? "" : status.name, address, port)
                }
            histogram.observe(Double(now - min(now, began)) / 1_000_000_000, at: now) {
                traceparent?().flatMap(Traceparent.init)?.exemplar
            }
        }
    }

    /// A call that is being timed.
    ///
    /// It ends once, with the first call of ``finish(_:)``. If it is released before that, its
    /// response was not read to the end, so it counts as cancelled.
    final class RecordedCall: Sendable {
        /// The outer call that this task records: one that now has a connection, see
        /// ``RecordedTransport``, or one that another interceptor records.
        @TaskLocal static var current: RecordedCall?

        private let recorder: CallRecorder
        private let method: String
        private let active: Gauge
        private let began: UInt64
        /// The time from which a cancelled call counts as past its deadline.
        private let deadline: UInt64?
        private let isEnded = Atomic<Bool>(false)
        private let isIntercepted = Atomic<Bool>(false)

        fileprivate init(_ recorder: CallRecorder, method: String, timeout: Duration?) {
            self.recorder = recorder
            self.method = method
            active = recorder.gauge(of: method)
            let now = recorder.uptime.nanoseconds
            began = now
            deadline = timeout.map { now + Self.leastWait($0) }
            active.increment()
        }

        deinit { finish(.cancelled) }

        /// The outer call of this task, if it is the same method of the same series.
        static func current(in recorder: CallRecorder, _ method: MethodDescriptor) -> RecordedCall?
        {
            guard let current, current.recorder.isSame(as: recorder),
                current.method == method.fullyQualifiedMethod
            else { return nil }
            return current
        }

        /// Whether no other interceptor records this call; only the first call returns true.
        func intercept() -> Bool {
            // ORDERING: relaxed; only which call comes first matters.
            !isIntercepted.exchange(true, ordering: .relaxed)
        }

        /// Returns the result of `body`; an error that it throws ends the call.
        ///
        /// - Parameter cancellation: The call's cancellation, if it is not that of the task.
        nonisolated(nonsending)
            func endedByErrors<Result>(
                _ cancellation: ServerContext.RPCCancellationHandle? = nil,
                of body: nonisolated(nonsending) () async throws -> Result
            ) async throws -> Result
        {
            do {
                return try await body()
            } catch {
                finish(throwing: error, cancellation)
                throw error
            }
        }

        /// Nanoseconds after which a cancelled call counts as cancelled by its deadline.
        ///
        /// The timeout minus a tenth, or minus 20 ms if that is more: gRPC starts its clock before
        /// it calls any interceptor, and on a server the client does. Neither side learns whether
        /// the deadline or the caller ended a call.
        private static func leastWait(_ timeout: Duration) -> UInt64 {
            let nanoseconds = min(timeout / .nanoseconds(1), 1e18)
            return UInt64(max(0, nanoseconds - max(nanoseconds / 10, 20_000_000)))
        }

        /// Ends it with the status that `error` becomes on the wire.
        ///
        /// A call that its caller gave up, or whose connection was closed or reset, fails in many
        /// ways: in the stream, in a writer, or in a client of the handler that was cancelled with
        /// it. All count as `CANCELLED`, unless the service chose a status itself.
        func finish(
            throwing error: any Error, _ cancellation: ServerContext.RPCCancellationHandle? = nil
        ) {
            let status = CallStatus(of: error)
            let isGivenUp = Task.isCancelled || cancellation?.isCancelled ?? false
            finish(isGivenUp && status.canComeOfCancellation ? .cancelled : status)
        }

        /// Ends it; only the first call counts.
        ///
        /// A call that is cancelled at its deadline counts as `DEADLINE_EXCEEDED`.
        func finish(_ status: CallStatus) {
            // ORDERING: relaxed; only which call comes first matters.
            if isEnded.exchange(true, ordering: .relaxed) { return }
            let isLate = deadline.map { recorder.uptime.nanoseconds >= $0 } ?? false
            recorder.record(
                isLate && status == .cancelled ? .deadlineExceeded : status, method: method,
                since: began)
            // Last, so that a call that is no longer active has been counted.
            active.decrement()
        }
    }
#endif
