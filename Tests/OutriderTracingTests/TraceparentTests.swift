// SPDX-License-Identifier: Apache-2.0
// Tests of exemplars from the current trace, obtained through the tracer's inject method.

#if Tracing

    import OutriderHTTP
    import OutriderMetrics
    import OutriderTesting
    import OutriderTracing
    import Testing
    import Tracing

    private struct TraceKey: InstrumentationContextKey {
        typealias Value = String
    }

    /// Propagates a `traceparent` and, as tracers do, other fields.
    private struct HeaderTracer: Instrument {
        /// Installed by the first test, since a process can bootstrap only once.
        static let isInstalled: Bool = {
            InstrumentationSystem.bootstrap(HeaderTracer())
            return true
        }()

        func extract<Carrier, Extract: Extractor>(
            _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
        ) where Extract.Carrier == Carrier {
            context[TraceKey.self] = extractor.extract(key: "traceparent", from: carrier)
        }

        func inject<Carrier, Inject: Injector>(
            _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
        ) where Inject.Carrier == Carrier {
            guard let trace = context[TraceKey.self] else { return }
            injector.inject("vendor=1", forKey: "tracestate", into: &carrier)
            injector.inject(trace, forKey: "Traceparent", into: &carrier)
            injector.inject("user=1", forKey: "baggage", into: &carrier)
        }
    }

    @Suite struct TraceparentTests {
        private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        private static let sampled = "00-\(trace)-00f067aa0ba902b7-01"
        private static let unsampled = "00-\(trace)-00f067aa0ba902b7-00"

        init() {
            #expect(HeaderTracer.isInstalled)
        }

        private func inTrace<Result>(
            _ traceparent: String, _ body: () async throws -> Result
        ) async rethrows -> Result {
            var context = InstrumentationContext.topLevel
            context[TraceKey.self] = traceparent
            return try await InstrumentationContext.$current.withValue(context) {
                try await body()
            }
        }

        /// The exemplars of one request that ends within `traceparent`.
        private func exemplars(
            in traceparent: String?, header: String? = nil
        ) async throws -> [[String: String]] {
            let registry = Registry(log: DiagnosticLog { _, _ in })
            var configuration = HTTPRequestRecorder.Configuration()
            configuration.traceparent = Traceparent.current
            let recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
            let token = recorder.begin(method: "GET", route: recorder.route("/orders"))
            if let traceparent {
                await inTrace(traceparent) { token.finish(traceparent: header) }
            } else {
                token.finish(traceparent: header)
            }
            let response = registry.respond(accept: "application/openmetrics-text; version=1.0.0")
            let type = response.headers.first { $0.name == "Content-Type" }?.value
            let exposition = try Exposition(parsing: response.body, contentType: type ?? "")
            return exposition.families.flatMap(\.samples).compactMap(\.exemplar?.labels)
        }

        @Test func `an exemplar has the IDs of the current trace`() async throws {
            let own = ["trace_id": Self.trace, "span_id": "00f067aa0ba902b7"]
            #expect(try await exemplars(in: Self.sampled) == [own])
        }

        @Test func `the current trace takes precedence over the request's header`() async throws {
            let header = "00-00000000000000000000000000000001-0000000000000001-01"
            #expect(try await exemplars(in: Self.sampled, header: header).count == 1)
            #expect(
                try await exemplars(in: Self.sampled, header: header).first?["trace_id"]
                    == Self.trace)
            #expect(
                try await exemplars(in: nil, header: header).first?["trace_id"]?.hasSuffix("1")
                    == true)
        }

        @Test func `an unsampled trace gives no exemplar`() async throws {
            #expect(try await exemplars(in: Self.unsampled).isEmpty)
        }

        @Test(arguments: ["", "garbage", "00-zz-00-01"])
        func `an invalid traceparent from a tracer gives no exemplar`(
            _ traceparent: String
        ) async throws {
            #expect(try await exemplars(in: traceparent).isEmpty)
        }

        @Test func `without a trace, the current traceparent is nil`() async {
            #expect(Traceparent.current() == nil)
            let context = InstrumentationContext.topLevel
            InstrumentationContext.$current.withValue(context) {
                #expect(Traceparent.current() == nil)
            }
        }

        @Test func `child tasks inherit the current trace`() async {
            let seen = await inTrace(Self.sampled) {
                await Task { Traceparent.current() }.value
            }
            #expect(seen == Self.sampled)
        }
    }

#endif
