// SPDX-License-Identifier: Apache-2.0
// The agent among the services of a `ServiceGroup`.
//
// A group shuts its services down from the last to the first, and waits for each. So the agent
// stands first and is told last: it shows the metrics of the whole shutdown. Its notice stands last
// and is told first: `/readyz` fails before any server stops taking requests.

#if ServiceLifecycle

    internal import Dispatch
    internal import OutriderThreading
    public import Outrider
    public import ServiceLifecycle

    extension Agent: Service {
        /// Waits for the group's graceful shutdown, or for its task to be cancelled; then ``stop()``.
        ///
        /// The agent was started before and goes on as it is: that it could not listen yet ends
        /// nothing. Never throws. The stop itself, a second at most, is no thread's of the pool.
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

        /// These services with the agent around them, in the order that a `ServiceGroup` needs.
        ///
        /// ```swift
        /// let agent = Agent.start()
        /// let group = ServiceGroup(
        ///     services: agent.services(around: [database, server]),
        ///     gracefulShutdownSignals: [.sigterm], logger: logger)
        /// try await group.run()
        /// ```
        ///
        /// At the shutdown `/readyz` fails first, then the services end, the last one first, and the
        /// agent at the end.
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

        /// The last service of a group, which lets `/readyz` fail before the others are told.
        ///
        /// - Parameter delay: How long to wait then, so that load balancers see it and send nothing
        ///   more. It should be longer than the period of their checks, and with the shutdown
        ///   itself shorter than what the supervisor grants (Kubernetes: 30 seconds).
        public func drainNotice(delay: Duration = .zero) -> DrainNotice {
            DrainNotice(agent: self, delay: delay)
        }
    }

    /// The service that is told first of a shutdown; see ``/Outrider/Agent/drainNotice(delay:)``.
    public struct DrainNotice: Service {
        let agent: Agent
        let delay: Duration

        /// Waits for the group's graceful shutdown, marks the agent as draining, and waits the delay.
        ///
        /// A task that is cancelled waits no longer. Never throws.
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
