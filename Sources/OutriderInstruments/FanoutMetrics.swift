// SPDX-License-Identifier: Apache-2.0
// One message to many: publish and subscribe, a broadcast to sockets.

public import OutriderMetrics
internal import Synchronization

/// A broadcast of messages to subscribers.
///
/// ```swift
/// let metrics = FanoutMetrics("chat")
///
/// let subscription = metrics.subscribe()           // ends with its last reference, or with end(_:)
/// for subscriber in subscribers {
///     if subscriber.offer(message) { metrics.delivered() } else { metrics.dropped(.slowConsumer) }
/// }
/// ```
///
/// A delivery is an increment, some two nanoseconds. Thread-safe.
public final class FanoutMetrics: Sendable {
    /// Why a message did not reach a subscriber, or a subscription ended.
    public struct Drop: Hashable, Sendable {
        let label: String

        /// The subscriber reads slower than messages come.
        public static let slowConsumer = Drop(label: "slow_consumer")
        /// The subscriber went away.
        public static let closed = Drop(label: "closed")

        /// Another reason; there should be few.
        public static func other(_ label: String) -> Drop { Drop(label: label) }
    }

    private let subscribers: Gauge
    private let messages: Family<Counter>
    private let ended: Family<Counter>
    private let deliveries: Counter
    private let slow: Counter
    private let fanout: String

    /// The metrics of a broadcast.
    ///
    /// - Parameters:
    ///   - fanout: Its name; not that of a channel or room, of which there are too many.
    ///   - registry: Where they are exposed.
    public init(_ fanout: String, registry: Registry = .shared) {
        self.fanout = fanout
        subscribers = registry.gauge(
            "fanout_subscribers", help: "Those who get each message.", labels: ["fanout"]
        ).with(fanout)
        messages = registry.counter(
            "fanout_messages_total",
            help: "Messages to single subscribers: delivered, or why they were dropped.",
            labels: ["fanout", "result"])
        ended = registry.counter(
            "fanout_subscriptions_ended_total",
            help: "Subscriptions that ended, by reason: closed by the subscriber, or dropped.",
            labels: ["fanout", "reason"])
        deliveries = messages.with(fanout, "delivered")
        slow = messages.with(fanout, Drop.slowConsumer.label)
    }

    /// There is one subscriber more, until what is returned ends.
    public func subscribe() -> Subscription { Subscription(of: self) }

    /// Messages reached their subscribers, one each.
    public func delivered(_ count: Int = 1) { deliveries.increment(by: count) }

    /// Messages did not reach their subscribers, one each.
    public func dropped(_ reason: Drop, count: Int = 1) {
        let counter = reason == .slowConsumer ? slow : messages.with(fanout, reason.label)
        counter.increment(by: count)
    }

    /// A subscriber.
    ///
    /// It is one until ``end(_:)``, or until the last reference to it goes.
    public final class Subscription: Sendable {
        private let fanout: FanoutMetrics
        private let isEnded = Atomic<Bool>(false)

        fileprivate init(of fanout: FanoutMetrics) {
            self.fanout = fanout
            fanout.subscribers.increment()
        }

        deinit { end() }

        /// The subscriber is gone, by its own will unless told otherwise; only the first call counts.
        public func end(_ reason: Drop = .closed) {
            // ORDERING: relaxed; only who comes first matters.
            if isEnded.exchange(true, ordering: .relaxed) { return }
            fanout.subscribers.decrement()
            fanout.ended.with(fanout.fanout, reason.label).increment()
        }
    }
}
