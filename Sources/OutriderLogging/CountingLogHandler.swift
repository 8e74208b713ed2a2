// SPDX-License-Identifier: Apache-2.0
// How much a service logs, by level: the cheapest alarm there is.
//
// The counters are resolved when a logger is made, so that a message costs one atomic addition more.
// Nothing here logs, so a message of Outrider's own may come through it too.

#if Logging

    public import Logging
    public import OutriderMetrics

    /// Counts the messages that another handler is given, in `log_messages_total{level}`.
    ///
    /// ```swift
    /// LoggingSystem.bootstrap { label in
    ///     CountingLogHandler(StreamLogHandler.standardError(label: label))
    /// }
    /// ```
    ///
    /// Messages below the log level never reach a handler and are not counted. Around a
    /// `MultiplexLogHandler` it counts each message once; inside of it, once for each handler.
    /// A value, as every handler: a copy's level and metadata are its own, the counters are shared.
    public struct CountingLogHandler: LogHandler {
        private var handler: any LogHandler
        private let counters: LevelCounters

        /// Counts what `handler` is given, in `registry`.
        ///
        /// Costs a look at the registry; a logger that is copied does not come here again.
        public init(_ handler: any LogHandler, registry: Registry = .shared) {
            self.handler = handler
            counters = LevelCounters(in: registry)
        }

        /// Counts a message and hands it on unchanged.
        public func log(event: LogEvent) {
            counters[event.level].increment()
            handler.log(event: event)
        }

        /// The level of the handler inside.
        public var logLevel: Logger.Level {
            get { handler.logLevel }
            set { handler.logLevel = newValue }
        }

        /// The metadata of the handler inside.
        public var metadata: Logger.Metadata {
            get { handler.metadata }
            set { handler.metadata = newValue }
        }

        /// The metadata provider of the handler inside.
        public var metadataProvider: Logger.MetadataProvider? {
            get { handler.metadataProvider }
            set { handler.metadataProvider = newValue }
        }

        /// One value of the metadata of the handler inside.
        public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { handler[metadataKey: key] }
            set { handler[metadataKey: key] = newValue }
        }
    }

    /// A counter for each level; all are there from the start, so that the first error is a rise.
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
