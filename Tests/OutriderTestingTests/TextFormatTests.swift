// SPDX-License-Identifier: Apache-2.0
// Tests of parsing text format 0.0.4 like Prometheus, with stricter errors.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct TextFormatTests {
    @Test func `families have a name, a type, a help text and samples`() throws {
        let exposition = try Exposition(
            parsing: """
                # HELP orders_total Orders, \\\\ and \\n.
                # TYPE orders_total counter
                orders_total{kind="book"} 3
                orders_total{kind="a \\"b\\" \\\\ \\n"} 4 1700000000123
                # TYPE idle gauge
                loose 1e3

                """, as: .text)
        #expect(exposition.families.map(\.name) == ["orders_total", "idle", "loose"])
        #expect(exposition.families.map(\.type) == [.counter, .gauge, .unknown])
        #expect(exposition.families.map(\.help) == ["Orders, \\ and \n.", nil, nil])
        #expect(exposition.families.map(\.unit) == [nil, nil, nil])
        let orders = try #require(exposition.family("orders_total"))
        #expect(orders.samples.map(\.labels) == [["kind": "book"], ["kind": "a \"b\" \\ \n"]])
        #expect(orders.samples.map(\.value) == [3, 4])
        #expect(orders.samples.map(\.timestamp) == [nil, 1_700_000_000.123])
        #expect(exposition.value("loose") == 1000)
    }

    @Test func `blanks, tabs, comments and empty lines are ignored`() throws {
        let exposition = try Exposition(
            parsing: "\n# a comment\n#\n  # TYPE\tx  gauge \n\tx {  a = \"1\" , }\t 2  3 \n",
            as: .text)
        #expect(exposition.value("x", ["a": "1"]) == 2)
        #expect(exposition.family("x")?.type == .gauge)
    }

    @Test func `an empty exposition has no families`() throws {
        #expect(try Exposition(parsing: "", as: .text).families.isEmpty)
    }

    @Test(arguments: [
        ("+Inf", Double.infinity), ("-Inf", -.infinity), ("inf", .infinity), ("1", 1),
        ("-0.5", -0.5),
        (".5", 0.5), ("5.", 5), ("1e-9", 1e-9), ("1E+21", 1e21), ("+3", 3),
    ])
    func `a number may be written in many ways`(text: String, value: Double) throws {
        #expect(try Exposition(parsing: "x \(text)\n", as: .text).value("x") == value)
    }

    @Test func `NaN is a valid value`() throws {
        let value = try Exposition(parsing: "x NaN\n", as: .text).value("x")
        #expect(value?.isNaN == true)
    }

    @Test func `histograms and summaries are families of several samples`() throws {
        let text = """
            # TYPE wait_seconds histogram
            wait_seconds_bucket{q="a",le="0.5"} 1
            wait_seconds_bucket{q="a",le="+Inf"} 2
            wait_seconds_sum{q="a"} 1.5
            wait_seconds_count{q="a"} 2
            # TYPE age_seconds summary
            age_seconds{quantile="0.5"} 1
            age_seconds{quantile="0.9"} NaN
            age_seconds_sum 3
            age_seconds_count 4

            """
        let exposition = try Exposition(parsing: text, as: .text)
        #expect(exposition.families.map(\.samples.count) == [4, 4])
        #expect(exposition.value("wait_seconds_bucket", ["le": "+Inf", "q": "a"]) == 2)
        #expect(exposition.family("age_seconds_sum")?.name == "age_seconds")
    }

    @Test func `a registry's exposition can be parsed`() throws {
        let registry = Registry(log: DiagnosticLog { _, _ in })
        registry.counter("a", help: "A\n\"\\.", labels: ["l", "m"]).with("\"\\\n", "").increment()
        registry.histogram("h_seconds", help: "H.", labels: ["l"]).with("x").observe(0.2)
        registry.info("i", help: "I.", ["v": "1"])
        let exposition = try registry.exposition()
        #expect(exposition.format == .text)
        #expect(exposition.value("a_total", ["l": "\"\\\n"]) == 1)
        #expect(exposition.family("a_total")?.help == "A\n\"\\.")
        #expect(exposition.value("h_seconds_bucket", ["l": "x", "le": "0.25"]) == 1)
        #expect(exposition.family("outrider_scrape_duration_seconds")?.type == .histogram)
    }

    @Test(arguments: [
        ("x 1", 1, "the last line does not end in a line feed"),
        ("x{a=\"1\"} 1\nx{a=\"1\"} 2\n", 2, #"duplicate series x{a="1"}"#),
        ("x{a=\"\"} 1\nx 2\n", 2, "duplicate series x"),
        ("x{a=\"1\",a=\"2\"} 1\n", 1, "duplicate label a"),
        ("x 1\ny 1\nx{a=\"1\"} 1\n", 3, "x belongs to the family x, whose lines are above"),
        ("# TYPE x gauge\nx 1\n# HELP x X.\n", 3, "the HELP line of x comes after its samples"),
        ("x 1\n# TYPE x gauge\n", 2, "the TYPE line of x comes after its samples"),
        ("# TYPE x gauge\n# TYPE x gauge\n", 2, "x has a second TYPE line"),
        ("# TYPE x gauge\n# TYPE y gauge\n# HELP x X.\n", 3, "x belongs to the family x"),
        ("# TYPE x\n", 1, "a blank is missing before the type"),
        ("# TYPE x info\n", 1, "\"info\" is not a metric type"),
        ("# TYPE 0x gauge\n", 1, "\"0x\" is not a metric name"),
        ("# HELP x a\\tb\n", 1, "\\t is not an escape"),
        ("x{a=\"\\t\"} 1\n", 1, "\\t is not an escape"),
        ("x{a=\"1} 1\n", 1, "the quotes of a label value are not closed"),
        ("x{a=\"1\\\n", 1, "the quotes of a label value are not closed"),
        ("x{a=\"1\" 1\n", 1, "the braces of the labels are not closed"),
        ("x{a=1} 1\n", 1, "a label value must be quoted"),
        ("x{a} 1\n", 1, "the label name a must be followed by ="),
        ("x{0=\"1\"} 1\n", 1, "a label name is missing or invalid"),
        ("x{a:b=\"1\"} 1\n", 1, "the label name a must be followed by ="),
        ("x{__name__=\"1\"} 1\n", 1, "the label name __name__ is reserved by Prometheus"),
        ("{\"x.y\"} 1\n", 1, "is not a metric name"),
        ("x-y 1\n", 1, "a blank is missing before the value"),
        ("x\n", 1, "a blank is missing before the value"),
        ("x \n", 1, "the value is missing"),
        ("x 0x10\n", 1, "the value \"0x10\" is not a number"),
        ("x 1,5\n", 1, "the value \"1,5\" is not a number"),
        ("x 1 1.5\n", 1, "the timestamp \"1.5\" is not a whole number of milliseconds"),
        ("x 1 2 3\n", 1, "unexpected \"3\" after the value"),
        ("x 1 # {} 1\n", 1, "the text format has no exemplars"),
        ("# TYPE x counter\nx -1\n", 2, "x is a counter, which cannot be -1"),
        ("# TYPE x gauge\nx_total 1\n", 2, "the gauge x cannot have a sample x_total, only x"),
        ("# TYPE x_total counter\nx 1\n", 2, "the counter x_total cannot have a sample x"),
    ])
    func `an error is reported with its line`(text: String, line: Int, problem: String) {
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: text, as: .text)
        }
        #expect(error?.line == line)
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
    }

    @Test func `an error names its line and its problem`() {
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: "\n\nx y\n", as: .text)
        }
        #expect("\(error as Any)".contains("line 3: the value \"y\" is not a number"))
    }

    @Test(arguments: [
        ("text/plain; version=0.0.4; charset=utf-8", Exposition.Format.text),
        ("text/plain", .text), ("Text/Plain;Version=\"0.0.4\"", .text),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
        ("application/openmetrics-text;escaping=underscores", .openMetrics),
    ])
    func `the content type selects the format`(type: String, format: Exposition.Format) throws {
        let body = Array("# TYPE x gauge\nx 1\n# EOF\n".utf8)
        #expect(try Exposition(parsing: body, contentType: type).format == format)
    }

    @Test(arguments: [
        "", "text/html", "application/openmetrics-text; version=2.0.0", "text/plain; version=1.0.0",
        "text/plain; charset=latin1",
    ])
    func `an unknown content type is refused`(type: String) {
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: Array("# EOF\n".utf8), contentType: type)
        }
        #expect(error?.line == nil)
        #expect(error?.problem.hasPrefix("the content type \"\(type)\"") == true)
    }

    @Test func `invalid UTF-8 is refused with its line`() {
        let body = Array("x 1\n".utf8) + [0x79, 0xFF, 0x0A]
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: body, contentType: "text/plain")
        }
        #expect("\(error as Any)".contains("line 2: the line is not valid UTF-8"))
    }
}
