// SPDX-License-Identifier: Apache-2.0
// An endpoint that is opened as soon as it can be.
//
// A port may be taken for a while, as in every rolling deploy on one machine. That is told once,
// counted at each attempt, and tried again until it is free.

internal import OutriderEndpoint
internal import OutriderMetrics
internal import OutriderThreading

/// Opens an endpoint, again and again if need be; thread-safe.
final class PatientListener: Sendable {
    private let settings: Endpoint.Configuration
    /// What sets the address, for messages.
    private let origin: String
    private let pages: [any Page]
    private let retryDelay: ClosedRange<Duration>
    private let log: DiagnosticLog
    private let failures: Family<Counter>
    /// When the next attempt is made: not in a task, since a service whose tasks are all stuck is just the
    /// one that must be seen.
    private let alarm: Alarm
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
        alarm = Alarm(named: "outrider-listen", time: settings.time)
    }

    /// Where it listens, with the port that was chosen if 0 was asked for; nil while it does not.
    var address: ListenAddress? {
        state.withLock { $0.endpoint?.address }
    }

    /// Opens the endpoint once; returns why it could not.
    func open() -> AgentError? {
        var settings = settings
        settings.onLostListener = { [weak self] in self?.reopen() }
        do throws(EndpointError) {
            // Outside the lock: it asks the service's pages for their paths.
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

    /// Opens the endpoint, now or as soon as it can be.
    func keepTrying() {
        keepTrying(lastDelay: .zero, after: nil)
    }

    /// - Parameters:
    ///   - lastDelay: How long the wait before this attempt was.
    ///   - failure: Why the attempt before this one failed.
    private func keepTrying(lastDelay: Duration, after failure: AgentError?) {
        if state.withLock({ $0.isStopped }) { return }
        guard let error = open() else {
            if failure != nil, let address {
                log.say(.info, about: "listening", "listening on \(address) now")
            }
            return
        }
        failures.with(error.reason).increment()
        // Each outage is told once, not at each attempt.
        if error.reason != failure?.reason {
            log.say(.error, about: "start:\(error.reason)", "\(error)")
        }
        let next = Self.delay(after: lastDelay, in: retryDelay)
        // Should the agent be stopped meanwhile, this attempt sees it and does nothing.
        let moment = settings.time.now + next
        alarm.set(for: moment) { [self] in keepTrying(lastDelay: next, after: error) }
    }

    /// Replaces an endpoint whose listening socket the service has closed, on a thread of its own.
    private func reopen() {
        alarm.set(for: settings.time.now) { [self] in
            let lost = state.withLock { state in
                defer { state.endpoint = nil }
                return state.endpoint
            }
            lost?.stop()
            keepTrying()
        }
    }

    /// The wait that follows one of `delay`.
    private static func delay(
        after delay: Duration, in range: ClosedRange<Duration>
    ) -> Duration {
        let shortest = min(max(range.lowerBound, .milliseconds(10)), .seconds(3600))
        let longest = min(max(range.upperBound, shortest), .seconds(3600))
        return delay == .zero ? shortest : min(delay * 2, longest)
    }

    /// Stops the endpoint, within a second, and tries no more.
    func stop() {
        let endpoint = state.withLock { state in
            defer { state = State(endpoint: nil, isStopped: true) }
            return state.endpoint
        }
        alarm.turnOff()
        endpoint?.stop()
    }
}
