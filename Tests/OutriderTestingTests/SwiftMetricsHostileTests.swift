// SPDX-License-Identifier: Apache-2.0
// Tests that scrapes can be parsed whatever text swift-metrics is given.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

@Suite struct SwiftMetricsHostileTests {
    private let registry = Registry(log: DiagnosticLog { _, _ in })

    private func record(verbatim: Bool) {
        HostileMetrics.record(
            through: OutriderMetricsFactory(
                registry: registry, configuration: verbatim ? .swiftPrometheus : .init()))
    }

    @Test(arguments: [false, true])
    func `both formats can be parsed, whatever the names`(verbatim: Bool) throws {
        record(verbatim: verbatim)
        let text = try registry.exposition()
        let openMetrics = registry.respond(
            accept: "application/openmetrics-text;version=1.0.0")
        let other = try Exposition(
            parsing: String(decoding: openMetrics.body, as: UTF8.self), as: .openMetrics)
        #expect(text.families.count > 30)
        #expect(other.families.count == text.families.count)
    }

    @Test(.enabled(if: Promtool.path != nil), arguments: [false, true])
    func `promtool reports only style, whatever the names`(verbatim: Bool) throws {
        record(verbatim: verbatim)
        // Throws if promtool reports anything other than style.
        _ = try Promtool.checkMetrics(registry.text())
    }

    @Test(.enabled(if: Promtool.path != nil))
    func `promtool reports no problems with well-chosen names`() throws {
        let registry = Registry(hasOwnMetrics: false)
        let factory = OutriderMetricsFactory(registry: registry)
        CoreMetrics.Counter(
            label: "http.server.requests", dimensions: [("method", "GET")], factory: factory
        ).increment()
        CoreMetrics.Counter(
            label: "http.server.requests", dimensions: [("error", "a\"b\\c\n")], factory: factory
        ).increment()
        CoreMetrics.Timer(label: "http.server.request.duration", factory: factory)
            .recordSeconds(1)
        Meter(label: "http.server.active", factory: factory).set(2)
        #expect(try Promtool.checkMetrics(registry.text()) == [])
    }
}

/// Hostile names and dimensions, for every type.
enum HostileMetrics {
    static let texts = [
        "", " ", "9", "_", "__", "a.b", "a-b", "a b", "le", "quantile", "__name__", "é", "\u{0}",
        "\n", "\r\n", "\"", "\\", "{", "}", ",", "=", "#", "# TYPE x counter", "total", "_total",
        "x_bucket", "x_sum", "x_count", "x_created", "x_info", "x", "x.total", "NaN", "👨‍👩‍👧",
        "e\u{301}", "\u{2028}", "\u{FEFF}", String(repeating: "a", count: 2_000),
    ]

    static func record(through factory: OutriderMetricsFactory) {
        for (number, text) in texts.enumerated() {
            let other = texts[(number + 7) % texts.count]
            for dimensions in [[], [(text, other)], [(text, other), (other, text), ("z", "1")]] {
                CoreMetrics.Counter(label: text, dimensions: dimensions, factory: factory)
                    .increment()
                Meter(label: "g" + text, dimensions: dimensions, factory: factory).set(1)
                CoreMetrics.Timer(label: text, dimensions: dimensions, factory: factory)
                    .recordSeconds(1)
                Recorder(label: text, dimensions: dimensions, factory: factory).record(1)
                Meter(label: text, dimensions: dimensions, factory: factory).set(1)
            }
        }
    }
}
