// SPDX-License-Identifier: Apache-2.0
// What servers and clients share: a call that is being timed, and the metric that it ends in.
//
// Names and labels are those of OpenTelemetry's conventions for RPC, as they are since 1.39 ("RPC metrics",
// "gRPC"): `rpc.server.call.duration` and `rpc.client.call.duration`, the method with its service before a
// slash, the status by the name that gRPC gives it.

#if GRPC
    internal import GRPCCore
    internal import OutriderHTTP
    internal import OutriderMetrics
    internal import OutriderThreading
    internal import Synchronization

    /// Counts and times calls; thread-safe.
    final class CallRecorder: Sendable {
        /// Whose calls they are.
        enum Side: Equatable, Sendable {
            case server
            case client(address: String, port: String)
        }

        private let side: Side
        private let durations: Family<Histogram>
        private let active: Family<Gauge>
        private let traceparent: (@Sendable () -> String?)?
        private let log: DiagnosticLog
        /// Recorders of one registry share their series.
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
                    help: "Time from a call's start to the end of its answer.",
                    labels: result, buckets: buckets, limit: limit)
                active = registry.gauge(
                    "rpc_server_active_calls", help: "Calls that are being answered.",
                    labels: call, limit: limit)
            case .client:
                let peer = ["server_address", "server_port"]
                durations = registry.histogram(
                    "rpc_client_call_duration_seconds",
                    help: "Time from a call's start until its answer was read.",
                    labels: result + peer, buckets: buckets, limit: limit)
                active = registry.gauge(
                    "rpc_client_active_calls", help: "Calls whose answers are awaited.",
                    labels: call + peer, limit: limit)
            }
        }

        /// A call begins.
        func begin(_ method: MethodDescriptor, timeout: Duration?) -> RecordedCall {
            RecordedCall(self, method: method.fullyQualifiedMethod, timeout: timeout)
        }

        /// Whether the calls of `other` count in the same series.
        fileprivate func isSame(as other: CallRecorder) -> Bool {
            registryIdentity == other.registryIdentity && side == other.side
        }

        /// Logs once that an interceptor is there twice, and that each call counts once all the same.
        func warnOfSecond(_ interceptor: String) {
            log.sayOnce(
                .warning,
                """
                \(interceptor) records the same calls twice; each is counted once, by the first one. Add \
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
    /// It ends once, with the first call of ``finish(_:)``. Where nobody says how it ended, nobody read
    /// its answer to the end: then it was cancelled.
    final class RecordedCall: Sendable {
        /// The call that this task records further out: one that has a connection now, see
        /// ``RecordedTransport``, or one that another interceptor records.
        @TaskLocal static var current: RecordedCall?

        private let recorder: CallRecorder
        private let method: String
        private let active: Gauge
        private let began: UInt64
        /// When it is late enough for its deadline to have cancelled it.
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

        /// The call that is recorded further out in this task, if it is one of these.
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

        /// What `body` returns; what it throws ends the call.
        ///
        /// - Parameter cancellation: That of the call, where it is not the task's.
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

        /// Nanoseconds after which a call that is cancelled was cancelled by its deadline.
        ///
        /// A tenth less than the timeout, or 20 ms: gRPC began to count before any interceptor was called,
        /// and of a server the client did. Neither is told which of the two ended a call.
        private static func leastWait(_ timeout: Duration) -> UInt64 {
            let nanoseconds = min(timeout / .nanoseconds(1), 1e18)
            return UInt64(max(0, nanoseconds - max(nanoseconds / 10, 20_000_000)))
        }

        /// Ends it with the status that `error` becomes on the wire.
        ///
        /// A call that its caller gave up, or whose connection was closed or reset, fails in many ways: by
        /// the stream, a writer, or a client of the handler's that was cancelled for it. What is not a
        /// status of the service's own choice is `CANCELLED` then.
        func finish(
            throwing error: any Error, _ cancellation: ServerContext.RPCCancellationHandle? = nil
        ) {
            let status = CallStatus(of: error)
            let isGivenUp = Task.isCancelled || cancellation?.isCancelled ?? false
            finish(isGivenUp && status.canComeOfCancellation ? .cancelled : status)
        }

        /// Ends it; only the first call counts.
        ///
        /// What is cancelled at its deadline was cancelled by its deadline.
        func finish(_ status: CallStatus) {
            // ORDERING: relaxed; only who comes first matters.
            if isEnded.exchange(true, ordering: .relaxed) { return }
            let isLate = deadline.map { recorder.uptime.nanoseconds >= $0 } ?? false
            recorder.record(
                isLate && status == .cancelled ? .deadlineExceeded : status, method: method,
                since: began)
            // Last, so that a call that is not active any more was counted.
            active.decrement()
        }
    }
#endif
