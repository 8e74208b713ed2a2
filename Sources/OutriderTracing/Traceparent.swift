// SPDX-License-Identifier: Apache-2.0
// The current trace, from any tracer.
//
// A tracer's context is opaque, but every tracer can write it into request headers. So this lets
// the tracer write one header, without knowing which tracer it is.

#if Tracing

    internal import Tracing

    /// The current trace of swift-distributed-tracing.
    ///
    /// ```swift
    /// var configuration = Agent.Configuration()
    /// configuration.http.traceparent = Traceparent.current
    /// ```
    public enum Traceparent {
        /// The trace of the current task as a `traceparent` header (W3C Trace Context); nil if
        /// there is no trace, no tracer, or the tracer writes no such header.
        ///
        /// A value for `HTTPRequestRecorder.Configuration.traceparent`. Calls the tracer's `inject`
        /// and costs as much; thread-safe.
        @Sendable
        public static func current() -> String? {
            guard let context = InstrumentationContext.current else { return nil }
            var traceparent: String?
            InstrumentationSystem.instrument.inject(
                context, into: &traceparent, using: TraceparentInjector())
            return traceparent
        }
    }

    /// Keeps one of the headers that a tracer writes.
    private struct TraceparentInjector: Injector {
        func inject(_ value: String, forKey key: String, into carrier: inout String?) {
            // Field names are case-insensitive (RFC 9110 §5.1).
            if key == "traceparent" || key.lowercased() == "traceparent" { carrier = value }
        }
    }

#endif
