// SPDX-License-Identifier: Apache-2.0
// Tests that every text is parsed or refused without a trap.

import OutriderTesting
import Testing

@Suite struct HostileTextTests {
    private static let whole = """
        # HELP h H \\\\ \\n.
        # TYPE h histogram
        # UNIT h s
        h_bucket{a="\\"\u{1F600}",le="0.5"} 1 # {b="c"} 0.25 17
        h_bucket{a="\\"\u{1F600}",le="+Inf"} 2
        h_sum{a="\\"\u{1F600}"} 1e3 1700000000
        h_count{a="\\"\u{1F600}"} 2
        # EOF

        """

    @Test(arguments: [Exposition.Format.text, .openMetrics])
    func `a text truncated anywhere is harmless`(format: Exposition.Format) {
        let type = format == .text ? "text/plain" : "application/openmetrics-text"
        let bytes = Array(Self.whole.utf8)
        for length in 0...bytes.count {
            _ = try? Exposition(parsing: Array(bytes.prefix(length)), contentType: type)
            _ = try? Exposition(parsing: Array(bytes.dropFirst(length)), contentType: type)
        }
    }

    @Test(arguments: [Exposition.Format.text, .openMetrics])
    func `a text with any byte replaced is harmless`(format: Exposition.Format) {
        let type = format == .text ? "text/plain" : "application/openmetrics-text"
        let bytes = Array(Self.whole.utf8)
        for offset in bytes.indices {
            for byte in Array("\"\\\n{}=,# 0e+\u{0}".utf8) + [0xFF] {
                var changed = bytes
                changed[offset] = byte
                _ = try? Exposition(parsing: changed, contentType: type)
            }
        }
    }
}
