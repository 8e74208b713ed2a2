// SPDX-License-Identifier: Apache-2.0
// One incoming request, from its head to the last byte of its answer.
//
//     state   bit 0: ended   bit 1: counted in the gauge of requests in flight   bit 2: head sent
//
// A request ends once: whoever sets bit 0 first records it. Streams, timeouts, closed channels and
// `deinit` may all try.

internal import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// A request being answered.
///
/// It ends exactly once, with the first call of ``finish(_:traceparent:)`` or
/// ``upgrade(to:)``, or when the last reference to it goes; whatever comes after that is ignored.
/// Thread-safe; all of its methods are a few nanoseconds, but for those that end it.
public final class RequestToken: Sendable {
    /// How a request ended.
    public enum Outcome: Sendable {
        /// Answered to the last byte, with the status that was set, or 200.
        case completed
        /// By an error that was thrown; without a status that was set, it counts as 500.
        case failed(any Error)
        /// The client went away, or the task was cancelled.
        ///
        /// Before the head of the answer was sent it counts as 499. After that the status stays,
        /// and it counts in `http_server_aborted_requests_total`.
        case clientDisconnected
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

    // ORDERING: relaxed for all but the end. What one thread set before it handed the token to
    // another one is ordered by the handing over.

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
        end(error: ErrorKind.abandoned, traceparent: { nil })
    }

    // MARK: - What becomes known

    /// Sets the route, once it is known.
    ///
    /// One that is excluded leaves the requests in flight at once.
    public func setRoute(_ route: HTTPRequestRecorder.Route) {
        set(recorder.own(route))
    }

    /// Sets the route by its template; nil for what no route matched.
    public func setRoute(template: String?) {
        set(template.map { recorder.route($0).series } ?? recorder.unmatched.series)
    }

    private func set(_ series: RouteSeries) {
        route.set(series)
        guard series.treatment == .excluded else { return }
        let old = state.bitwiseAnd(~State.isInFlight, ordering: .relaxed).oldValue
        if old & State.isInFlight != 0 { leave() }
    }

    /// Sets the status of the answer; one that is not between 100 and 999 counts as 500.
    public func setStatus(_ code: Int) {
        status.store((100...999).contains(code) ? UInt16(code) : 500, ordering: .relaxed)
    }

    /// The head of the answer has been sent, with this status; not for 1xx, which come before it.
    public func noteHead(status code: Int) {
        setStatus(code)
        state.bitwiseOr(State.headSent, ordering: .relaxed)
        if recorder.recordsTimeToFirstByte || route.value.treatment == .timedToHead {
            // Only the first counts; it is taken as 1 at least, since 0 is none.
            _ = headTime.compareExchange(
                expected: 0, desired: max(1, recorder.uptime.nanoseconds), ordering: .relaxed)
        }
    }

    /// Counts bytes of the request's body that were read.
    public func addRequestBytes(_ count: Int) {
        requestBytes.wrappingAdd(max(0, count), ordering: .relaxed)
    }

    /// Counts bytes of the answer's body that were written.
    public func addResponseBytes(_ count: Int) {
        responseBytes.wrappingAdd(max(0, count), ordering: .relaxed)
    }

    /// Remembers the trace that runs now, for a request that will be finished outside of it.
    ///
    /// Does nothing without ``HTTPRequestRecorder/Configuration/traceparent``.
    public func captureTrace() {
        guard let traceparent = recorder.traceparent?() else { return }
        _ = trace.storeIfNil(CapturedTrace(traceparent))
    }

    // MARK: - The end

    /// Ends it; only the first call counts.
    ///
    /// - Parameters:
    ///   - outcome: How it ended.
    ///   - traceparent: The header of the request, for an exemplar. Looked at only if one is
    ///     wanted, at most once a second for each bucket; anything but a valid `traceparent`
    ///     (W3C Trace Context) of a sampled trace is ignored.
    public func finish(
        _ outcome: Outcome = .completed, traceparent: @autoclosure () -> String? = nil
    ) {
        switch outcome {
        case .completed: end(error: ErrorKind.none, traceparent: traceparent)
        case .failed(let error):
            if status.load(ordering: .relaxed) == 0 { setStatus(500) }
            end(error: recorder.errorTypes.number(of: error), traceparent: traceparent)
        case .clientDisconnected:
            end(error: ErrorKind.clientDisconnect, traceparent: traceparent)
        }
    }

    /// Ends it as a handshake with status 101, and counts the connection that it has become.
    ///
    /// Hours of WebSocket do not belong among the durations of requests.
    ///
    /// - Parameter protocolName: Such as `websocket`, `h2c`; any other is `_OTHER`.
    /// - Returns: The connection: call its ``UpgradedConnection/end()``, or let go of it.
    public func upgrade(to protocolName: String) -> UpgradedConnection {
        setStatus(101)
        let template = route.value.template
        end(error: ErrorKind.none, traceparent: { nil })
        return UpgradedConnection(
            recorder.upgrades, protocolName, route: template, uptime: recorder.uptime)
    }

    private func leave() {
        recorder.leave(method: Int(method), scheme)
    }

    private func end(error: Int, traceparent: () -> String?) {
        // ORDERING: acquiring and releasing, so that whoever ends it sees what others set.
        let old = state.bitwiseOr(State.ended, ordering: .acquiringAndReleasing).oldValue
        guard old & State.ended == 0 else { return }
        // Not `old`: the route may have been excluded in between.
        let inFlight = state.bitwiseAnd(~State.isInFlight, ordering: .relaxed).oldValue
        if inFlight & State.isInFlight != 0 { leave() }
        route.with { route in
            guard route.treatment != .excluded else { return }
            record(
                in: route, error: error, headSent: old & State.headSent != 0,
                traceparent: traceparent)
        }
    }

    private func record(
        in route: RouteSeries, error: Int, headSent: Bool, traceparent: () -> String?
    ) {
        let status = finalStatus(error, headSent: headSent)
        let key = SeriesKey(
            method: Int(method), scheme: scheme, status: status,
            error: shownError(error, status: status, headSent: headSent))
        let now = recorder.uptime.nanoseconds
        recorder.withSeries(of: route, key) { series in
            count(in: series, at: now, isTimedToHead: route.treatment == .timedToHead, traceparent)
        }
        if error != ErrorKind.none, headSent {
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
        series.secondDuration?.observe(time, at: now) { exemplar(traceparent) }
        series.total?.increment()
        series.requestSize?.observe(Double(requestBytes.load(ordering: .relaxed)))
        series.responseSize?.observe(Double(responseBytes.load(ordering: .relaxed)))
        if head != 0 { series.firstByte?.observe(seconds(to: head)) }
    }

    /// The status to count under: of an answer that never began, what the client did not wait for.
    private func finalStatus(_ error: Int, headSent: Bool) -> Int {
        let known = Int(status.load(ordering: .relaxed))
        switch error {
        case ErrorKind.clientDisconnect, ErrorKind.abandoned: return headSent ? known : 499
        default: return known == 0 ? 200 : known
        }
    }

    /// The error to count under: an answer below 500 is none, unless it was cut off.
    private func shownError(_ error: Int, status: Int, headSent: Bool) -> Int {
        switch error {
        case ErrorKind.none: status >= 500 ? ErrorKind.status : ErrorKind.none
        case ErrorKind.clientDisconnect, ErrorKind.abandoned: error
        default: status >= 500 || headSent ? error : ErrorKind.none
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
