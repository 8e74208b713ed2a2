// SPDX-License-Identifier: Apache-2.0
// Tests of reserved names: names that Prometheus uses itself are not exposed in any escaping.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct ReservedNamesTests {
    private static func utf8() -> Registry {
        Registry(hasOwnMetrics: false, names: .utf8, log: .silent)
    }

    /// The code of the error that a registration throws, or nil.
    private func code(
        _ register: () throws(RegistrationError) -> Void
    ) -> RegistrationError.Code? {
        do {
            try register()
            return nil
        } catch {
            return error.code
        }
    }

    @Test(arguments: [
        "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added",
        "scrape_samples_post_metric_relabeling", "scrape_body_size_bytes", "scrape_series_limit",
        "ALERTS",
    ])
    func `the names of a server's own samples are refused with advice`(name: String) {
        let registry = Registry(log: .silent)
        #expect(
            code { () throws(RegistrationError) in
                _ = try registry.register(gauge: name, help: "G.")
            } == .reservedMetricName)
        #expect(
            code { () throws(RegistrationError) in
                try registry.register(gauge: name, help: "G.") { 1 }
            } == .reservedMetricName)
        #expect(
            code { () throws(RegistrationError) in
                let family = CollectedFamily.gauge(name, help: "G.")
                try registry.register(TestCollector(families: [family]) { $0.add(family, 1) })
            } == .reservedMetricName)
        registry.gauge(name, help: "G.").set(0)
        #expect(registry.sample(name) == nil)
        #expect(registry.registrationsRefused(.reservedMetricName) == "1")
    }

    @Test func `names whose escaped form is reserved are refused too`() {
        for name in ["scrape.duration.seconds", "scrape duration_seconds"] {
            #expect(
                code { () throws(RegistrationError) in
                    _ = try Self.utf8().register(gauge: name, help: "G.")
                } == .reservedMetricName)
        }
    }

    @Test func `names that merely start like reserved ones are accepted`() throws {
        let registry = Registry.bare
        for name in ["uptime_seconds", "up_links", "scrape_errors", "my_up"] {
            try registry.register(gauge: name, help: "G.").set(1)
            #expect(registry.sample(name) == "1")
        }
    }

    @Test(arguments: ["underscores", "dots", "values", "allow-utf-8"])
    func `no escaping maps a label to a reserved name or two labels to one`(scheme: String) throws {
        let registry = Self.utf8()
        let labels = ["ラベル", "--name--", "状態…"]
        let family = try registry.register(gauge: "g", help: "G.", labels: labels)
        family.with("a", "b", "c").set(1)
        family.with("a", "b", "d").set(2)
        let escaped = [
            "U___2d__2d_name_2d__2d_", "U___30e9__30d9__30eb_", "U___72b6__614b__2026_",
        ]
        let names =
            scheme == "allow-utf-8" ? [#""--name--""#, #""ラベル""#, #""状態…""#] : escaped
        for accept in ["text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"] {
            let response = registry.respond(accept: "\(accept);escaping=\(scheme)")
            let text = String(decoding: response.body, as: UTF8.self)
            #expect(
                text.contains(#"g{\#(names[0])="b",\#(names[1])="a",\#(names[2])="c"} 1"#),
                "\(text)")
            #expect(
                text.contains(#"g{\#(names[0])="b",\#(names[1])="a",\#(names[2])="d"} 2"#),
                "\(text)")
        }
        let response = registry.respond(accept: "\(ProtobufMetric.type);escaping=\(scheme)")
        let shown = ProtobufMetric.all(in: response)
        #expect(
            shown.map { Set($0.labels.keys) }
                == Array(
                    repeating: Set(scheme == "allow-utf-8" ? labels : escaped), count: 2))
        #expect(family.removeAll(matching: ["状態…": "d"]) == 1)
        #expect(family.count == 1)
    }

    @Test(arguments: [
        ["__x"], ["__é"], ["le"], ["quantile"], ["ラベル", "U___30e9__30d9__30eb_"],
        ["é", "U__" + String(repeating: "x", count: 1_022)],
        [String(repeating: "é", count: 300)],
    ])
    func `labels that are reserved, equal or too long in some escaping are refused`(
        labels: [String]
    ) {
        let code = code { () throws(RegistrationError) in
            _ = try Self.utf8().register(gauge: "g", help: "G.", labels: labels)
        }
        #expect(code == .reservedLabelName || code == .invalidLabelName)
    }

    @Test func `a name that is too long in some escaping is refused`() {
        #expect(
            code { () throws(RegistrationError) in
                _ = try Self.utf8().register(gauge: String(repeating: "é", count: 300), help: "G.")
            } == .invalidMetricName)
    }
}
