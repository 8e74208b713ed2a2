// SPDX-License-Identifier: Apache-2.0
// Sends Outrider's diagnostics to the service's own log.

#if Logging

    public import Logging
    public import OutriderMetrics

    extension DiagnosticLog {
        /// Sends all further messages to `logger` instead of stderr, each at its level.
        ///
        /// ```swift
        /// DiagnosticLog.shared.send(to: Logger(label: "outrider"))
        /// ```
        ///
        /// Bootstrap `LoggingSystem` first. The handler is called on the thread that logs, never
        /// under an Outrider lock, and should not block. Thread-safe.
        public func send(to logger: Logger) {
            setHandler { level, message in
                logger.log(level: level.ofLogger, "\(message)", source: "Outrider")
            }
        }
    }

    extension DiagnosticLog.Level {
        fileprivate var ofLogger: Logger.Level {
            switch self {
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
        }
    }

#endif
