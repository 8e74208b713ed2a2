// SPDX-License-Identifier: Apache-2.0
// A log handler that counts messages by level: the cheapest alert signal.
//
// The counters are resolved when a logger is created, so a message costs one more atomic addition.
// This file never logs, so Outrider's own messages may pass through it too.

#if Logging

    public import Logging
    public import OutriderMetrics

    /// Counts the messages that another handler receives, in `log_messages_total{level}`.
    ///
    /// ```swift
    /// LoggingSystem.bootstrap { label in
    ///     CountingLogHandler(StreamLogHandler.standardError(label: label))
    /// }
    /// ```
    ///
    /// Messages below the log level never reach a handler and are not counted. Around a
    /// `MultiplexLogHandler` it counts each message once; inside of it, once for each handler. A
    /// value type, like every handler: each copy has its own level and metadata, and shares the
    /// counters.
    public struct CountingLogHandler: LogHandler {
        private var handler: any LogHandler
        private let counters: LevelCounters

        /// Counts the messages of `handler`, in `registry`.
        ///
        /// Costs a registry lookup; copying a logger does not repeat it.
        public init(_ handler: any LogHandler, registry: Registry = .shared) {
            self.handler = handler
            counters = LevelCounters(in: registry)
        }

        /// Counts a message and passes it on unchanged.
        public func log(event: LogEvent) {
            counters[event.level].increment()
            handler.log(event: event)
        }

        /// The level of the wrapped handler.
        public var logLevel: Logger.Level {
            get { handler.logLevel }
            set { handler.logLevel = newValue }
        }

        /// The metadata of the wrapped handler.
        public var metadata: Logger.Metadata {
            get { handler.metadata }
            set { handler.metadata = newValue }
        }

        /// The metadata provider of the wrapped handler.
        public var metadataProvider: Logger.MetadataProvider? {
            get { handler.metadataProvider }
            set { handler.metadataProvider = newValue }
        }

        /// One metadata value of the wrapped handler.
        public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { handler[metadataKey: key] }
            set { handler[metadataKey: key] = newValue }
        }
    }

    /// A counter for each level; all exist from the start, so that the first error is an increase.
    private final class LevelCounters: Sendable {
        private let trace, debug, info, notice, warning, error, critical: Counter

        init(in registry: Registry) {
            let messages = registry.counter(
                "log_messages_total", help: "Messages logged, by level.", labels: ["level"])
            trace = messages.with("trace")
            debug = messages.with("debug")
            info = messages.with("info")
            notice = messages.with("notice")
            warning = messages.with("warning")
            error = messages.with("error")
            critical = messages.with("critical")
        }

        subscript(level: Logger.Level) -> Counter {
            switch level {
            case .trace: trace
            case .debug: debug
            case .info: info
            case .notice: notice
            case .warning: warning
            case .error: error
            case .critical: critical
            }
        }
    }

#endif
