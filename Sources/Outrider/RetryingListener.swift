// SPDX-License-Identifier: Apache-2.0
// A listener that opens its endpoint as soon as the address is available.
//
// A port may be in use for a while, as in every rolling deployment on one machine. Each failed
// attempt is counted, the outage is logged once, and the listener retries until the port is free.

internal import OutriderEndpoint
internal import OutriderMetrics
internal import OutriderThreading

/// Opens an endpoint, with retries if needed; thread-safe.
final class RetryingListener: Sendable {
    private let settings: Endpoint.Configuration
    /// The settings that set the address, for messages.
    private let origin: String
    private let pages: [any Page]
    private let retryDelay: ClosedRange<Duration>
    private let log: DiagnosticLog
    private let failures: Family<Counter>
    /// The timer of the next attempt; not a task, because a service whose tasks are all stuck must
    /// still be observable.
    private let timer: OneShotTimer
    private let state = Guarded(State())

    private struct State: Sendable {
        var endpoint: Endpoint?
        var isStopped = false
    }

    init(
        _ settings: Endpoint.Configuration, pages: [any Page], retryDelay: ClosedRange<Duration>,
        log: DiagnosticLog, failures: Family<Counter>, setBy origin: String
    ) {
        self.settings = settings
        self.origin = origin
        self.pages = pages
        self.retryDelay = retryDelay
        self.log = log
        self.failures = failures
        timer = OneShotTimer(named: "outrider-listen", time: settings.time)
    }

    /// The address, with the actual port if port 0 was requested; nil while it does not listen.
    var address: ListenAddress? {
        state.withLock { $0.endpoint?.address }
    }

    /// Opens the endpoint once; returns an error if it could not.
    func open() -> AgentError? {
        var settings = settings
        settings.onLostListener = { [weak self] in self?.reopen() }
        do throws(EndpointError) {
            // Outside the lock: this calls the service's pages for their paths.
            let endpoint = try Endpoint(settings, pages: pages)
            let isWanted = state.withLock { state in
                if !state.isStopped { state.endpoint = endpoint }
                return !state.isStopped
            }
            if !isWanted { endpoint.stop() }
            return nil
        } catch {
            return AgentError(error, setBy: origin)
        }
    }

    /// Opens the endpoint, now or as soon as possible.
    func openWithRetries() {
        openWithRetries(lastDelay: .zero, after: nil)
    }

    /// - Parameters:
    ///   - lastDelay: The delay before this attempt.
    ///   - failure: The error of the previous attempt.
    private func openWithRetries(lastDelay: Duration, after failure: AgentError?) {
        if state.withLock({ $0.isStopped }) { return }
        guard let error = open() else {
            if failure != nil, let address {
                log.report(.info, about: "listening", "now listening on \(address)")
            }
            return
        }
        failures.with(error.reason).increment()
        // Each outage is logged once, not at each attempt.
        if error.reason != failure?.reason {
            log.report(.error, about: "start:\(error.reason)", "\(error)")
        }
        let next = Self.delay(after: lastDelay, in: retryDelay)
        // If the agent is stopped before then, this attempt does nothing.
        let moment = settings.time.now + next
        timer.set(for: moment) { [self] in openWithRetries(lastDelay: next, after: error) }
    }

    /// Replaces an endpoint whose listening socket was closed by the service, on a separate thread.
    private func reopen() {
        timer.set(for: settings.time.now) { [self] in
            let lost = state.withLock { state in
                defer { state.endpoint = nil }
                return state.endpoint
            }
            lost?.stop()
            openWithRetries()
        }
    }

    /// The delay that follows `delay`.
    private static func delay(
        after delay: Duration, in range: ClosedRange<Duration>
    ) -> Duration {
        let shortest = min(max(range.lowerBound, .milliseconds(10)), .seconds(3600))
        let longest = min(max(range.upperBound, shortest), .seconds(3600))
        return delay == .zero ? shortest : min(delay * 2, longest)
    }

    /// Stops the endpoint, within a second, and stops retrying.
    func stop() {
        let endpoint = state.withLock { state in
            defer { state = State(endpoint: nil, isStopped: true) }
            return state.endpoint
        }
        timer.cancel()
        endpoint?.stop()
    }
}
