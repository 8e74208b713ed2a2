// SPDX-License-Identifier: Apache-2.0
// The agent as a service of a `ServiceGroup`.
//
// A group shuts its services down from the last to the first, and waits for each. The agent is the
// first service and so shuts down last: it serves metrics during the whole shutdown. Its notice is
// the last service and so shuts down first: `/readyz` fails before any server stops accepting
// requests.

#if ServiceLifecycle

    internal import Dispatch
    internal import OutriderThreading
    public import Outrider
    public import ServiceLifecycle

    extension Agent: Service {
        /// Waits for the group's graceful shutdown, or for its task to be cancelled; then calls
        /// ``stop()``.
        ///
        /// The agent was started before and keeps running, even if it cannot listen yet. Never
        /// throws. Stopping takes a second at most and does not block a thread of the concurrency
        /// pool.
        public func run() async {
            await shutdownOrCancellation()
            markDraining()
            await withCheckedContinuation { (isStopped: CheckedContinuation<Void, Never>) in
                let stop: @Sendable () -> Void = {
                    self.stop()
                    isStopped.resume()
                }
                if !DetachedThread.start(stop) { DispatchQueue.global().async(execute: stop) }
            }
        }

        /// Returns these services with the agent around them, in the order that a `ServiceGroup`
        /// needs.
        ///
        /// ```swift
        /// let agent = Agent.start()
        /// let group = ServiceGroup(
        ///     services: agent.services(around: [database, server]),
        ///     gracefulShutdownSignals: [.sigterm], logger: logger)
        /// try await group.run()
        /// ```
        ///
        /// On shutdown, `/readyz` fails first, then the services end from the last to the first,
        /// then the agent.
        ///
        /// - Parameters:
        ///   - services: The service's own, those that others depend on first.
        ///   - drainDelay: As in ``drainNotice(delay:)``.
        /// - Returns: The agent, `services`, and a ``DrainNotice``.
        public func services(
            around services: [any Service], drainDelay: Duration = .zero
        ) -> [any Service] {
            [self] + services + [drainNotice(delay: drainDelay)]
        }

        /// The last service of a group, which makes `/readyz` fail before the other services shut
        /// down.
        ///
        /// - Parameter delay: How long to wait then, so that load balancers notice and stop sending
        ///   requests. It should be longer than the period of their checks, and together with the
        ///   shutdown shorter than the supervisor's grace period (Kubernetes: 30 seconds).
        public func drainNotice(delay: Duration = .zero) -> DrainNotice {
            DrainNotice(agent: self, delay: delay)
        }
    }

    /// The service that shuts down first; see ``/Outrider/Agent/drainNotice(delay:)``.
    public struct DrainNotice: Service {
        let agent: Agent
        let delay: Duration

        /// Waits for the group's graceful shutdown, marks the agent as draining, and waits for the
        /// delay.
        ///
        /// Cancelling the task ends the wait. Never throws.
        public func run() async {
            await shutdownOrCancellation()
            agent.markDraining()
            if delay > .zero { try? await Task.sleep(for: delay) }
        }
    }

    /// Suspends until the group shuts down gracefully or the task is cancelled.
    private func shutdownOrCancellation() async {
        let (told, tell) = AsyncStream.makeStream(of: Void.self)
        await withTaskCancellationOrGracefulShutdownHandler {
            for await _ in told {}
        } onCancelOrGracefulShutdown: {
            tell.finish()
        }
    }

#endif
