// SPDX-License-Identifier: Apache-2.0
// Tests of histograms and summaries, whose parts must be consistent.

import OutriderTesting
import Testing

@Suite struct DistributionTests {
    /// A histogram `h` with these samples, in either format.
    private func read(
        _ samples: [String], type: String = "histogram", as format: Exposition.Format
    ) throws -> Exposition {
        let end = format == .openMetrics ? ["# EOF"] : []
        let lines = ["# TYPE h \(type)"] + samples + end
        return try Exposition(parsing: lines.joined(separator: "\n") + "\n", as: format)
    }

    private static let formats: [Exposition.Format] = [.text, .openMetrics]

    @Test(
        arguments: formats,
        [
            (
                [#"h_bucket{le="1"} 2"#, "h_sum 1", "h_count 2"], 2,
                "has no bucket with le=\"+Inf\""
            ),
            (["h_sum 1", "h_count 2"], 2, "has no bucket with le=\"+Inf\""),
            (
                [#"h_bucket{le="1"} 3"#, #"h_bucket{le="+Inf"} 2"#, "h_sum 1", "h_count 2"], 3,
                "the buckets of h are not cumulative: 2 comes after 3"
            ),
            (
                [#"h_bucket{le="2"} 1"#, #"h_bucket{le="1"} 1"#, #"h_bucket{le="+Inf"} 2"#], 3,
                "the buckets of h are not in ascending order"
            ),
            (
                [#"h_bucket{le="1"} 1"#, #"h_bucket{le="1.0"} 1"#, #"h_bucket{le="+Inf"} 2"#], 3,
                "the buckets of h are not in ascending order"
            ),
            (
                [#"h_bucket{le="+Inf"} 2"#, "h_sum 1", "h_count 3"], 4,
                "h_count of h is 3, but its bucket +Inf is 2"
            ),
            ([#"h_bucket{le="+Inf"} 1.5"#], 2, "is a count, which cannot be 1.5"),
            ([#"h_bucket{le="+Inf"} -1"#], 2, "is a count, which cannot be -1"),
            ([#"h_bucket{le="one"} 1"#], 2, "has a label le that is not a number"),
            (["h_bucket 1"], 2, "has no label le"),
            ([#"h_sum{le="1"} 1"#], 2, "may not have the label le"),
            (["h 1"], 2, "the histogram h cannot have a sample h, only h_bucket, h_sum, h_count"),
            (
                [
                    #"h_bucket{a="1",le="+Inf"} 1"#, #"h_sum{a="1"} 1"#, #"h_count{a="1"} 1"#,
                    #"h_bucket{a="2",le="1"} 1"#, #"h_sum{a="2"} 1"#, #"h_count{a="2"} 1"#,
                ], 5, #"h{a="2"} has no bucket with le="+Inf""#
            ),
        ] as [([String], Int, String)])
    func `an inconsistent histogram is refused`(
        format: Exposition.Format, bad: ([String], Int, String)
    ) {
        let error = #expect(throws: ExpositionError.self) { try read(bad.0, as: format) }
        #expect(error?.line == bad.1)
        #expect(error?.problem.contains(bad.2) == true, "\(error?.problem ?? "")")
    }

    @Test(
        arguments: formats,
        [
            ([#"h{quantile="1.1"} 1"#], 2, "has a quantile that is not between 0 and 1"),
            ([#"h{quantile="x"} 1"#], 2, "has a label quantile that is not a number"),
            (["h 1"], 2, "has no label quantile"),
            ([#"h_sum{quantile="1"} 1"#], 2, "may not have the label quantile"),
            (["h_count NaN"], 2, "is a count, which cannot be NaN"),
        ] as [([String], Int, String)])
    func `an inconsistent summary is refused`(
        format: Exposition.Format, bad: ([String], Int, String)
    ) {
        let error = #expect(throws: ExpositionError.self) {
            try read(bad.0, type: "summary", as: format)
        }
        #expect(error?.line == bad.1)
        #expect(error?.problem.contains(bad.2) == true, "\(error?.problem ?? "")")
    }

    @Test func `the text format requires a count, and OpenMetrics also a sum`() throws {
        let bucket = #"h_bucket{le="+Inf"} 1"#
        #expect(throws: ExpositionError.self) { try read([bucket], as: .text) }
        #expect(throws: Never.self) { try read([bucket, "h_count 1"], as: .text) }
        #expect(throws: Never.self) { try read([bucket], as: .openMetrics) }
        #expect(throws: ExpositionError.self) { try read([bucket, "h_count 1"], as: .openMetrics) }
        #expect(throws: ExpositionError.self) { try read([bucket, "h_sum 1"], as: .openMetrics) }
    }

    @Test func `OpenMetrics allows no sum with a bucket below zero`() throws {
        let samples = [
            #"h_bucket{le="-1.0"} 1"#, #"h_bucket{le="+Inf"} 1"#, "h_sum 1", "h_count 1",
        ]
        #expect(throws: Never.self) { try read(samples, as: .text) }
        let error = #expect(throws: ExpositionError.self) { try read(samples, as: .openMetrics) }
        #expect("\(error as Any)".contains("line 4: h_sum is not allowed"))
        #expect(throws: Never.self) { try read(Array(samples.prefix(2)), as: .openMetrics) }
        #expect(throws: ExpositionError.self) {
            try read([samples[1], "h_sum -1", "h_count 1"], as: .openMetrics)
        }
    }

    @Test func `quantiles ascend in the text format`() throws {
        let samples = [#"h{quantile="0.9"} 1"#, #"h{quantile="0.5"} 1"#]
        #expect(throws: ExpositionError.self) { try read(samples, type: "summary", as: .text) }
        #expect(throws: Never.self) { try read(samples, type: "summary", as: .openMetrics) }
    }

    @Test func `a sample's name belongs to its family`() {
        let text = """
            # TYPE h histogram
            h_bucket{le="+Inf"} 1
            h_sum 1
            h_count 1
            # TYPE h_count gauge
            h_count{a="1"} 1

            """
        let error = #expect(throws: ExpositionError.self) {
            try Exposition(parsing: text, as: .text)
        }
        #expect("\(error as Any)".contains("line 5: h_count belongs to the family h"))
    }
}
