// SPDX-License-Identifier: Apache-2.0
// One incoming request, from its head to the last byte of its response.
//
//     state   bit 0: ended   bit 1: counted in the gauge of requests in flight   bit 2: head sent
//
// A request ends once: the first caller that sets bit 0 records it. Streams, timeouts, closed
// channels and `deinit` may all try.

internal import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// An incoming request in progress.
///
/// It ends exactly once, with the first call of ``finish(_:traceparent:)`` or ``upgrade(to:)``, or
/// when the last reference to it is released; later calls are ignored. Thread-safe. Its methods
/// take a few nanoseconds, except those that end it, look up a route by its template, or capture a
/// trace.
public final class RequestToken: Sendable {
    /// How a request ended.
    public enum Outcome: Sendable {
        /// The response was sent to the last byte, with the status that was set, or 200.
        case completed
        /// An error was thrown; if no status was set, it counts as 500.
        case failed(any Error)
        /// The client disconnected, or the task was cancelled.
        ///
        /// Before the head of the response it counts as 499. After that, the status stays, and the
        /// request counts in `http_server_aborted_requests_total`.
        case clientDisconnected
    }

    /// How it ended.
    private enum Ending {
        case finished(Outcome)
        case unsent(any Error)
        case upgraded
        case abandoned

        /// Whether the response is complete.
        var isComplete: Bool {
            switch self {
            case .finished(.completed), .upgraded: true
            case .finished, .unsent, .abandoned: false
            }
        }

        /// Whether the client left, as far as is known.
        var isByClient: Bool {
            switch self {
            case .finished(.clientDisconnected), .abandoned: true
            case .finished, .unsent, .upgraded: false
            }
        }
    }

    private enum State {
        static let ended: UInt8 = 1
        static let isInFlight: UInt8 = 2
        static let headSent: UInt8 = 4
    }

    private let recorder: HTTPRequestRecorder
    private let start: UInt64
    private let method: UInt8
    private let scheme: URLScheme
    private let state: Atomic<UInt8>
    private let status = Atomic<UInt16>(0)
    private let route: CurrentRoute
    private let requestBytes = Atomic<Int>(0)
    private let responseBytes = Atomic<Int>(0)
    private let headTime = Atomic<UInt64>(0)
    private let trace = OnceReference<CapturedTrace>()

    // ORDERING: relaxed except at the end. Handing the token to another thread orders earlier
    // writes.

    private final class CapturedTrace: Sendable {
        let traceparent: String

        init(_ traceparent: String) {
            self.traceparent = traceparent
        }
    }

    init(
        _ recorder: HTTPRequestRecorder, method: Int, _ scheme: URLScheme, route: RouteSeries
    ) {
        self.recorder = recorder
        self.method = UInt8(method)
        self.scheme = scheme
        self.route = CurrentRoute(route)
        let isCounted = route.treatment != .excluded
        state = Atomic(isCounted ? State.isInFlight : 0)
        if isCounted { recorder.enter(method: method, scheme) }
        start = recorder.uptime.nanoseconds
    }

    deinit {
        end(.abandoned, traceparent: { nil })
    }

    // MARK: - Properties of the request and response

    /// Sets the route, once it is known.
    ///
    /// If the route is excluded, the request stops counting as in flight at once.
    public func setRoute(_ route: HTTPRequestRecorder.Route) {
        set(recorder.own(route))
    }

    /// Sets the route by its template; nil if the request matched no route.
    public func setRoute(template: String?) {
        set(template.map { recorder.route($0).series } ?? recorder.unmatched.series)
    }

    private func set(_ series: RouteSeries) {
        route.set(series)
        guard series.treatment == .excluded else { return }
        let old = state.bitwiseAnd(~State.isInFlight, ordering: .relaxed).oldValue
        if old & State.isInFlight != 0 { leave() }
    }

    /// Sets the status of the response; a value outside 100 to 999 counts as 500.
    ///
    /// Ignored once the head was sent, because the client has that status.
    public func setStatus(_ code: Int) {
        guard state.load(ordering: .relaxed) & State.headSent == 0 else { return }
        status.store((100...999).contains(code) ? UInt16(code) : 500, ordering: .relaxed)
    }

    /// Records that the head of the response has been sent, with this status.
    ///
    /// Only the first one counts. Informational heads (1xx except 101) are ignored.
    public func recordHead(status code: Int) {
        if (100..<200).contains(code), code != 101 { return }
        setStatus(code)
        // ORDERING: releasing, so that the thread that ends it sees the status with the bit.
        state.bitwiseOr(State.headSent, ordering: .releasing)
        if recorder.recordsTimeToFirstByte || route.value.treatment == .timedToHead {
            // Only the first call counts; the time is at least 1, because 0 means none.
            _ = headTime.compareExchange(
                expected: 0, desired: max(1, recorder.uptime.nanoseconds), ordering: .relaxed)
        }
    }

    /// Counts bytes of the request's body that were read.
    public func addRequestBytes(_ count: Int) {
        requestBytes.wrappingAdd(max(0, count), ordering: .relaxed)
    }

    /// Counts bytes of the response's body that were written.
    public func addResponseBytes(_ count: Int) {
        responseBytes.wrappingAdd(max(0, count), ordering: .relaxed)
    }

    /// Captures the current trace, for a request that will be finished outside of it.
    ///
    /// Does nothing without ``HTTPRequestRecorder/Configuration/traceparent``.
    public func captureTrace() {
        guard let traceparent = recorder.traceparent?() else { return }
        _ = trace.storeIfNil(CapturedTrace(traceparent))
    }

    // MARK: - Ending

    /// Ends the request; only the first call counts.
    ///
    /// - Parameters:
    ///   - outcome: How it ended.
    ///   - traceparent: The request's header, for an exemplar. Evaluated only if an exemplar is
    ///     needed: not within a second of the bucket's last one. Anything but a valid `traceparent`
    ///     (W3C Trace Context) of a sampled trace is ignored.
    public func finish(
        _ outcome: Outcome = .completed, traceparent: @autoclosure () -> String? = nil
    ) {
        end(.finished(outcome), traceparent: traceparent)
    }

    /// Ends it with an error of the service that kept its response from being sent, such as an
    /// invalid header field.
    ///
    /// It has no status, whatever was set or noted, because the client received none.
    package func finishUnsent(
        _ error: any Error, traceparent: @autoclosure () -> String? = nil
    ) {
        headTime.store(0, ordering: .relaxed)
        state.bitwiseAnd(~State.headSent, ordering: .relaxed)
        end(.unsent(error), traceparent: traceparent)
    }

    /// Ends the request as a handshake with status 101, and counts the connection that it has
    /// become.
    ///
    /// The hours of a WebSocket must not count as the duration of a request.
    ///
    /// - Parameter protocolName: `websocket` or `h2c`; any other is `_OTHER`.
    /// - Returns: The connection: call its ``UpgradedConnection/end()``, or release it. It is not
    ///   counted if the request had already ended or if its route is excluded.
    public func upgrade(to protocolName: String) -> UpgradedConnection {
        let isOurs = end(.upgraded, traceparent: { nil })
        let route = route.value
        guard isOurs, route.treatment != .excluded else { return UpgradedConnection() }
        return UpgradedConnection(
            recorder.upgrades, protocolName, route: route.template, uptime: recorder.uptime)
    }

    /// Ends it without a record, because other code turns out to handle the request.
    package func discard() {
        _ = claimEnd()
    }

    private func leave() {
        recorder.leave(method: Int(method), scheme)
    }

    /// Marks it ended and no longer in flight; returns the previous state, or nil if it had ended.
    private func claimEnd() -> UInt8? {
        // ORDERING: acquiring and releasing, so that the thread that ends it sees what others set.
        let old = state.bitwiseOr(State.ended, ordering: .acquiringAndReleasing).oldValue
        guard old & State.ended == 0 else { return nil }
        // Not `old`: the route may have been excluded since.
        let inFlight = state.bitwiseAnd(~State.isInFlight, ordering: .relaxed).oldValue
        if inFlight & State.isInFlight != 0 { leave() }
        return old
    }

    /// Ends it; returns whether it had not ended before.
    @discardableResult
    private func end(_ ending: Ending, traceparent: () -> String?) -> Bool {
        guard let old = claimEnd() else { return false }
        let headSent = old & State.headSent != 0
        route.with { route in
            switch route.treatment {
            case .excluded: break
            case .timedToHead where headSent && ending.isByClient:
                // The client of a stream leaves at any time.
                record(in: route, .finished(.completed), headSent: true, traceparent)
            case .timed, .timedToHead:
                record(in: route, ending, headSent: headSent, traceparent)
            }
        }
        return true
    }

    private func record(
        in route: RouteSeries, _ ending: Ending, headSent: Bool, _ traceparent: () -> String?
    ) {
        let (status, error) = verdict(ending, headSent: headSent)
        let key = RequestSeriesKey(
            method: Int(method), scheme: scheme, status: status, error: error)
        let now = recorder.uptime.nanoseconds
        recorder.withSeries(of: route, key) { series in
            count(in: series, at: now, isTimedToHead: route.treatment == .timedToHead, traceparent)
        }
        if headSent, !ending.isComplete {
            recorder.families.aborted.with(route.template).increment()
        }
    }

    @inline(__always)
    private func count(
        in series: RequestSeries, at now: UInt64, isTimedToHead: Bool, _ traceparent: () -> String?
    ) {
        let head = headTime.load(ordering: .relaxed)
        let time = seconds(to: isTimedToHead && head != 0 ? head : now)
        series.duration.observe(time, at: now) { exemplar(traceparent) }
        series.prometheusDuration?.observe(time, at: now) { exemplar(traceparent) }
        series.total?.increment()
        // Invalid counts may have overflowed them; a sum must not decrease.
        series.requestSize?.observe(Double(max(0, requestBytes.load(ordering: .relaxed))))
        series.responseSize?.observe(Double(max(0, responseBytes.load(ordering: .relaxed))))
        if head != 0 { series.timeToFirstByte?.observe(seconds(to: head)) }
    }

    /// The status and the error to count under.
    ///
    /// A response below 500 is not an error, unless it was cut off. One that never began counts as
    /// 499, for a client that did not wait.
    private func verdict(_ ending: Ending, headSent: Bool) -> (status: Int, error: Int) {
        let known = Int(status.load(ordering: .relaxed))
        switch ending {
        case .finished(.completed):
            return (known == 0 ? 200 : known, known >= 500 ? ErrorKind.status : ErrorKind.none)
        case .finished(.failed(let error)):
            let status = known == 0 ? 500 : known
            let isShown = status >= 500 || headSent
            return (status, isShown ? recorder.errorTypes.index(of: error) : ErrorKind.none)
        case .unsent(let error): return (0, recorder.errorTypes.index(of: error))
        case .finished(.clientDisconnected):
            return (headSent ? known : 499, ErrorKind.clientDisconnect)
        case .abandoned: return (headSent ? known : 499, ErrorKind.abandoned)
        case .upgraded: return (101, ErrorKind.none)
        }
    }

    private func seconds(to end: UInt64) -> Double {
        Double(end - min(end, start)) / 1_000_000_000
    }

    private func exemplar(_ header: () -> String?) -> Exemplar? {
        let own = trace.load()?.traceparent ?? recorder.traceparent?()
        return (own ?? header()).flatMap(Traceparent.init)?.exemplar
    }
}
