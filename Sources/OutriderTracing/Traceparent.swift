// SPDX-License-Identifier: Apache-2.0
// The trace that runs now, asked of whatever tracer the service has.
//
// A tracer's context is opaque; what every tracer can do is to write it into the headers of a
// request. So one header is written, and no tracer has to be known.

#if Tracing

    internal import Tracing

    /// The trace of swift-distributed-tracing that runs now.
    ///
    /// ```swift
    /// var configuration = Agent.Configuration()
    /// configuration.http.traceparent = Traceparent.current
    /// ```
    public enum Traceparent {
        /// The trace of the current task as a `traceparent` header (W3C Trace Context); nil if there
        /// is no trace, no tracer, or one that writes no such header.
        ///
        /// What `HTTPRequestRecorder.Configuration.traceparent` wants to be told. Calls the tracer's
        /// `inject` and costs what that costs; thread-safe.
        @Sendable
        public static func current() -> String? {
            guard let context = InstrumentationContext.current else { return nil }
            var traceparent: String?
            InstrumentationSystem.instrument.inject(
                context, into: &traceparent, using: TraceparentInjector())
            return traceparent
        }
    }

    /// Keeps one header of those that a tracer writes.
    private struct TraceparentInjector: Injector {
        func inject(_ value: String, forKey key: String, into carrier: inout String?) {
            // Names of header fields have no case (RFC 9110 §5.1).
            if key == "traceparent" || key.lowercased() == "traceparent" { carrier = value }
        }
    }

#endif
