// SPDX-License-Identifier: Apache-2.0
// Tests of content negotiation: each scraper gets the format and encoding it prefers, and none is
// refused.

import OutriderMetrics
import Testing

private let openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
private let text = "text/plain; version=0.0.4; charset=utf-8"

@Suite struct NegotiationTests {
    private let registry = Registry.bare

    private func header(_ name: String, of response: ScrapeResponse) -> String? {
        response.headers.first { $0.name == name }?.value
    }

    @Test(
        arguments: [
            // Prometheus 2.42, without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                openMetrics
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            ),
            // 2.49 sends a weight out of range.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=2",
                openMetrics
            ),
            // 3.0 repeats a parameter.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2",
                openMetrics + "; escaping=allow-utf-8"
            ),
            (
                "text/plain;version=1.0.0;escaping=dots;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                "text/plain; version=1.0.0; charset=utf-8; escaping=dots"
            ),
            ("application/openmetrics-text;escaping=sideways", openMetrics),
            (
                "application/openmetrics-text;version=0.0.1",
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            ),
            ("APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1", openMetrics),
            ("application/*", openMetrics),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", text),
            ("application/openmetrics-text,text/plain", openMetrics),
            ("text/plain,application/openmetrics-text", text),
            ("application/openmetrics-text;q=0,*/*", text),
            ("text/*;q=0,*/*", openMetrics),
            ("*/*", text), ("", text), ("*/*;q=0", text), (",;,;q=,=\"", text),
            ("application/openmetrics-text;version=\"1.0.0", text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", text),
            ("application/vnd.google.protobuf;encoding=delimited", text),
            (String(repeating: ",", count: 100_000) + openMetrics, text),
        ])
    func `the format is the one that the scraper prefers`(accept: String, type: String) {
        let response = registry.respond(accept: accept)
        #expect(response.status == 200)
        #expect(header("Content-Type", of: response) == type)
    }

    @Test(
        arguments: [
            ("gzip", true), ("GZIP", true), ("x-gzip", true), ("gzip;q=0.001", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true), ("*", true), ("gzip;q=7", true),
            ("gzip, identity;q=0.5", true), ("br;q=1, gzip;q=0.8", true),
            ("gzip;q=0", false), ("gzip;q=0.000", false), ("gzip;q=-1", false), ("", false),
            ("identity", false), ("br, zstd", false), ("*;q=0", false), ("gzip;q=0, *", false),
            ("gzip;q=0.5, identity", false), ("\"gzip\"", false),
        ])
    func `a response is compressed if the scraper prefers that`(
        accept: String, isCompressed: Bool
    ) {
        _ = registry.gauge("long", help: String(repeating: "A long text. ", count: 200))
        let response = registry.respond(acceptEncoding: accept)
        #expect(header("Content-Encoding", of: response) == (isCompressed ? "gzip" : nil))
        #expect(response.body.starts(with: [0x1F, 0x8B]) == isCompressed)
    }

    @Test func `a response that fits into one packet is not compressed`() {
        _ = registry.gauge("short", help: "Short.")
        let response = registry.respond(acceptEncoding: "gzip")
        #expect(header("Content-Encoding", of: response) == nil)
        #expect(String(decoding: response.body, as: UTF8.self) == registry.text())
    }

    @Test func `the response headers prevent caching and name what the response depends on`() {
        let response = registry.respond()
        #expect(header("Cache-Control", of: response) == "no-store")
        #expect(header("Vary", of: response) == "Accept, Accept-Encoding")
    }
}
