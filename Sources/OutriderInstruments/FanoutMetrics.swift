// SPDX-License-Identifier: Apache-2.0
// Metrics of fan-out: one message to many subscribers, as in publish/subscribe or WebSocket
// broadcasts.

public import OutriderMetrics
internal import Synchronization

/// Metrics of a broadcast of messages to subscribers.
///
/// ```swift
/// let metrics = FanoutMetrics("chat")
///
/// let subscription = metrics.subscribe()  // ends with its last reference, or with end(_:)
/// for subscriber in subscribers {
///     if subscriber.offer(message) { metrics.delivered() } else { metrics.dropped(.slowConsumer) }
/// }
/// ```
///
/// A delivery is one increment, about two nanoseconds. Thread-safe.
public final class FanoutMetrics: Sendable {
    /// Why a message did not reach a subscriber, or a subscription ended.
    public struct Drop: Hashable, Sendable {
        let label: String

        /// The subscriber reads more slowly than messages arrive.
        public static let slowConsumer = Drop(label: "slow_consumer")
        /// The subscriber left.
        public static let closed = Drop(label: "closed")

        /// Another reason; use only a few.
        public static func other(_ label: String) -> Drop { Drop(label: label) }
    }

    private let subscribers: Gauge
    private let messages: Family<Counter>
    private let ended: Family<Counter>
    private let deliveries: Counter
    private let slow: Counter
    private let fanout: String

    /// Creates the metrics of a broadcast.
    ///
    /// - Parameters:
    ///   - fanout: Its name; not the name of a channel or room, of which there are too many.
    ///   - registry: The registry for the metrics.
    public init(_ fanout: String, registry: Registry = .shared) {
        self.fanout = fanout
        subscribers = registry.gauge(
            "fanout_subscribers", help: "Subscribers that receive each message.", labels: ["fanout"]
        ).with(fanout)
        messages = registry.counter(
            "fanout_messages_total",
            help: "Messages per subscriber: delivered, or the reason why they were dropped.",
            labels: ["fanout", "result"])
        ended = registry.counter(
            "fanout_subscriptions_ended_total",
            help: "Ended subscriptions, by reason: closed by the subscriber, or dropped.",
            labels: ["fanout", "reason"])
        deliveries = messages.with(fanout, "delivered")
        slow = messages.with(fanout, Drop.slowConsumer.label)
    }

    /// Counts one more subscriber, until the returned subscription ends.
    public func subscribe() -> Subscription { Subscription(of: self) }

    /// Counts messages that reached their subscribers, one each.
    public func delivered(_ count: Int = 1) { deliveries.increment(by: count) }

    /// Counts messages that did not reach their subscribers, one each.
    public func dropped(_ reason: Drop, count: Int = 1) {
        let counter = reason == .slowConsumer ? slow : messages.with(fanout, reason.label)
        counter.increment(by: count)
    }

    /// A subscription.
    ///
    /// It counts until ``end(_:)``, or until its last reference is released.
    public final class Subscription: Sendable {
        private let fanout: FanoutMetrics
        private let isEnded = Atomic<Bool>(false)

        fileprivate init(of fanout: FanoutMetrics) {
            self.fanout = fanout
            fanout.subscribers.increment()
        }

        deinit { end() }

        /// Ends the subscription, by default because the subscriber left; only the first call
        /// counts.
        public func end(_ reason: Drop = .closed) {
            // ORDERING: relaxed; only which call comes first matters.
            if isEnded.exchange(true, ordering: .relaxed) { return }
            fanout.subscribers.decrement()
            fanout.ended.with(fanout.fanout, reason.label).increment()
        }
    }
}
