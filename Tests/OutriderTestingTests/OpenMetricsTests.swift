// SPDX-License-Identifier: Apache-2.0
// Tests of parsing OpenMetrics 1.0: every type of family, exemplars, and strict syntax.

import OutriderTesting
import Testing

@Suite struct OpenMetricsTests {
    private static let whole = """
        # TYPE orders counter
        # HELP orders Orders, \\"quoted\\".
        orders_total{kind="book"} 3.0 1700000000.5 # {trace_id="ab"} 1 1700000000.25
        orders_created{kind="book"} 1600000000 1700000000.5
        # TYPE idle gauge
        idle 17.0 123
        idle 18.0 456
        # TYPE wait_seconds histogram
        # UNIT wait_seconds seconds
        # HELP wait_seconds Waits.
        wait_seconds_bucket{le="0.5"} 1 # {} 0.25
        wait_seconds_bucket{le="+Inf"} 2
        wait_seconds_count 2
        wait_seconds_sum 1.5
        wait_seconds_created 1600000000
        # TYPE queue gaugehistogram
        queue_bucket{le="+Inf"} 2
        queue_gcount 2
        queue_gsum -3
        # TYPE age_seconds summary
        age_seconds{quantile="0.5"} NaN
        age_seconds_count 0
        age_seconds_sum 0
        # TYPE build info
        build_info{version="1"} 1
        # TYPE state stateset
        state{state="on"} 1
        state{state="off"} 0
        # TYPE what unknown
        what 1
        bare{} 2
        # EOF

        """

    @Test func `every type is parsed`() throws {
        let exposition = try Exposition(parsing: Self.whole, as: .openMetrics)
        #expect(
            exposition.families.map(\.name) == [
                "orders", "idle", "wait_seconds", "queue", "age_seconds", "build", "state", "what",
                "bare",
            ])
        #expect(
            exposition.families.map(\.type) == [
                .counter, .gauge, .histogram, .gaugeHistogram, .summary, .info, .stateSet, .unknown,
                .unknown,
            ])
        #expect(exposition.family("orders_total")?.help == "Orders, \"quoted\".")
        #expect(exposition.family("wait_seconds")?.unit == "seconds")
        #expect(exposition.value("idle") == 18, "the sample with the last timestamp")
        #expect(exposition.value("state", ["state": "off"]) == 0)
        #expect(exposition.value("queue_gsum") == -3)
    }

    @Test func `an exemplar has labels, a value and an optional timestamp`() throws {
        let exposition = try Exposition(parsing: Self.whole, as: .openMetrics)
        let counted = try #require(exposition.sample("orders_total", ["kind": "book"]))
        #expect(counted.timestamp == 1_700_000_000.5)
        #expect(counted.exemplar?.labels == ["trace_id": "ab"])
        #expect(counted.exemplar?.value == 1)
        #expect(counted.exemplar?.timestamp == 1_700_000_000.25)
        let bucket = try #require(exposition.sample("wait_seconds_bucket", ["le": "0.5"]))
        #expect(bucket.exemplar?.labels == [:])
        #expect(bucket.exemplar?.timestamp == nil)
    }

    @Test(arguments: ["# EOF", "# EOF\n"])
    func `the EOF line may lack its line feed`(text: String) throws {
        #expect(try Exposition(parsing: text, as: .openMetrics).families.isEmpty)
    }

    @Test(arguments: [
        ("", 1, "# EOF is missing at the end"),
        ("x 1\n", 2, "# EOF is missing at the end"),
        ("x 1\n# EOF\nx 2\n", 3, "nothing may follow # EOF"),
        ("x 1\n# EOF\n\n", 3, "nothing may follow # EOF"),
        ("# EOF \n", 1, "unexpected \" \" at the end of the line"),
        ("\n# EOF\n", 1, "the line is empty"),
        ("# a comment\n# EOF\n", 1, "OpenMetrics has no comments"),
        ("#EOF\n", 1, "a blank is missing"),
        ("x  1\n# EOF\n", 1, "exactly one blank before the value"),
        ("x\t1\n# EOF\n", 1, "exactly one blank before the value"),
        ("x 1 \n# EOF\n", 1, "is not a number of seconds"),
        (" x 1\n# EOF\n", 1, "is not a metric name"),
        ("x 1\r\n# EOF\n", 1, "is not a number"),
        ("x{a=\"1\",} 1\n# EOF\n", 1, "a label name is missing or invalid"),
        ("x{ a=\"1\"} 1\n# EOF\n", 1, "a label name is missing or invalid"),
        ("x +NaN\n# EOF\n", 1, "is not a number"),
        ("# HELP x say \"x\"\nx 1\n# EOF\n", 1, "a quote must be escaped here"),
        ("# HELP x a\\qb\nx 1\n# EOF\n", 1, "\\q is not an escape"),
        ("# TYPE x untyped\n# EOF\n", 1, "\"untyped\" is not a metric type"),
        ("# UNIT x seconds\n# EOF\n", 1, "the name x does not end in its unit, _seconds"),
        ("# TYPE x_on info\n# UNIT x_on on\n# EOF\n", 1, "the info x_on cannot have a unit"),
        ("# TYPE x counter\nx 1\n# EOF\n", 2, "the counter x cannot have a sample x, only x_total"),
        ("# TYPE x counter\nx_created 1\n# EOF\n", 2, "the counter x has no sample x_total"),
        ("# TYPE x counter\nx_total NaN\n# EOF\n", 2, "is a counter, which cannot be NaN"),
        ("# TYPE x counter\nx_total 1\nx_created -1\n# EOF\n", 3, "is not a time"),
        ("# TYPE x info\nx_info 2\n# EOF\n", 2, "is an info, so its value must be 1"),
        ("# TYPE x stateset\nx 1\n# EOF\n", 2, "has no label x"),
        ("# TYPE x stateset\nx{x=\"a\"} 2\n# EOF\n", 2, "its value must be 0 or 1"),
        ("# TYPE x gauge\nx 1 # {} 1\n# EOF\n", 2, "may not have an exemplar"),
        ("# TYPE x counter\nx_total 1 # {a=1} 1\n# EOF\n", 2, "a label value must be quoted"),
        ("# TYPE x counter\nx_total 1 # 1\n# EOF\n", 2, "must have labels in braces, if only {}"),
        ("# TYPE x counter\nx_total 1 2 3\n# EOF\n", 2, "unexpected \"3\" after the value"),
        ("x 1\nx 1\n# EOF\n", 2, "duplicate series x"),
        ("x 1 2\nx 1 2\n# EOF\n", 2, "duplicate series x"),
        ("x 1 2\nx 1 1\n# EOF\n", 2, "duplicate series x"),
        (
            "# TYPE x counter\nx_total 1\n# TYPE x_total gauge\nx_total{a=\"1\"} 1\n# EOF\n", 3,
            "x_total belongs to the family x"
        ),
        (
            """
            # TYPE x counter
            x_total{a="1"} 1
            x_total{a="2"} 1
            x_created{a="1"} 1
            # EOF

            """, 4, #"the samples of x{a="1"} are interleaved with others"#
        ),
        (
            """
            # TYPE x counter
            x_total 1 1
            x_total 2 2
            x_created 1 1
            # EOF

            """, 4, "the samples of x are interleaved with others"
        ),
        (
            "# TYPE x histogram\nx_bucket{le=\"1\"} 1 # {} 2\n# EOF\n", 2,
            "has an exemplar of 2, which is above its bound"
        ),
    ])
    func `an error is reported with its line`(text: String, line: Int, problem: String) {
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: text, as: .openMetrics)
        }
        #expect(error?.line == line)
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
    }

    @Test func `an exemplar's labels have at most 128 characters`() throws {
        func text(_ count: Int) -> String {
            let value = String(repeating: "\u{E4}", count: count)
            return "# TYPE x counter\nx_total 1 # {a=\"\(value)\"} 1\n# EOF\n"
        }
        #expect(throws: Never.self) { try Exposition(parsing: text(127), as: .openMetrics) }
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: text(128), as: .openMetrics)
        }
        #expect(error?.problem.contains("129 characters of labels; 128 are allowed") == true)
    }
}
