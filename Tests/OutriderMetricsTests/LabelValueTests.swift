// SPDX-License-Identifier: Apache-2.0
// Tests that no label value or help text breaks a scrape or forges a sample.

import OutriderMetrics
import Testing

@Suite struct LabelValueTests {
    @Test func `quotes, backslashes and line feeds in a value are escaped`() {
        let registry = Registry.bare
        let errors = registry.counter("errors", help: "Errors.", labels: ["text"])
        errors.with("a\"b\\c\nevil_metric 42").increment()
        errors.with("\\n").increment()
        errors.with("\\").increment()
        #expect(
            registry.text() == #"""
                # HELP errors_total Errors.
                # TYPE errors_total counter
                errors_total{text="a\"b\\c\nevil_metric 42"} 1
                errors_total{text="\\n"} 1
                errors_total{text="\\"} 1

                """#)
    }

    @Test func `a carriage return does not hide the line feed that follows it`() {
        let registry = Registry.bare
        registry.gauge("x", help: "One.\r\nTwo.", labels: ["a"]).with("1\r\n2").set(1)
        #expect(
            registry.text()
                == "# HELP x One.\r\\nTwo.\n# TYPE x gauge\nx{a=\"1\r\\n2\"} 1\n")
    }

    @Test func `backslashes and line feeds in a help text are escaped, and quotes are not`() {
        let registry = Registry.bare
        registry.gauge("x", help: "A \"b\" \\ c\n# TYPE x counter").set(1)
        #expect(
            registry.text() == #"""
                # HELP x A "b" \\ c\n# TYPE x counter
                # TYPE x gauge
                x 1

                """#)
    }

    @Test func `an empty help text leaves the scrape well-formed`() {
        let registry = Registry.bare
        registry.gauge("x", help: "").set(1)
        #expect(
            ["# TYPE x gauge\nx 1\n", "# HELP x \n# TYPE x gauge\nx 1\n"].contains(registry.text()))
    }

    @Test func `other characters are printed as they are`() {
        let registry = Registry.bare
        registry.gauge("x", help: "Größe {}=, 🐦.", labels: ["a"]).with("{}=,'\t ü🐦").set(1)
        #expect(
            registry.text()
                == "# HELP x Größe {}=, 🐦.\n# TYPE x gauge\nx{a=\"{}=,'\t ü🐦\"} 1\n")
    }

    @Test func `a label with an empty value is not printed`() {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "Hits.", labels: ["a", "b", "c"])
        hits.with("", "", "").increment()
        hits.with("1", "", "").increment()
        hits.with("", "2", "").increment()
        hits.with("", "", "3").increment()
        hits.with("1", "", "3").increment()
        #expect(
            registry.text() == """
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total 1
                hits_total{a="1"} 1
                hits_total{b="2"} 1
                hits_total{c="3"} 1
                hits_total{a="1",c="3"} 1

                """)
    }

    @Test func `values that look like the end of a label do not merge series`() {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "Hits.", labels: ["a", "b"])
        hits.with(#"1",b="2"#, "").increment()
        hits.with("1", "2").increment(by: 2)
        #expect(
            registry.text() == #"""
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total{a="1\",b=\"2"} 1
                hits_total{a="1",b="2"} 2

                """#)
    }

    @Test(
        arguments: [
            [0xFF], [0x61, 0xC3], [0xC3, 0x28], [0xE2, 0x82], [0xC0, 0xAF], [0xED, 0xA0, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0x61, 0x80, 0x62], [0xF0, 0x9F, 0x90],
        ] as [[UInt8]])
    func `bytes that are not valid UTF-8 are repaired and counted`(bytes: [UInt8]) {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: ["agent"])
        let child = hits.with(utf8: bytes)
        child.increment()
        let repaired = String(decoding: bytes, as: UTF8.self)
        #expect(repaired.unicodeScalars.contains("\u{FFFD}"))
        #expect(hits.with(repaired) === child)
        #expect(registry.sample(#"hits_total{agent="\#(repaired)"}"#) == "1")
        #expect(registry.sample("outrider_label_values_repaired_total") == "1")
    }

    @Test func `each repaired value is counted`() {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: ["a", "b", "c"])
        _ = hits.with(utf8: [0xFF], [0x61], [0x80, 0x80])
        #expect(registry.sample("outrider_label_values_repaired_total") == "2")
    }

    @Test func `valid UTF-8 is not repaired`() {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: ["agent"])
        #expect(hits.with(utf8: Array("ü🐦\u{FFFD}\0".utf8)) === hits.with("ü🐦\u{FFFD}\0"))
        #expect(hits.with(utf8: []) === hits.with(""))
        #expect(registry.sample("outrider_label_values_repaired_total") == "0")
    }

    @Test(arguments: [100, 1_000, 1_024])
    func `a value of up to 1,024 bytes is exposed in full`(length: Int) {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "Hits.", labels: ["a"])
        let value = String(repeating: "\"", count: length)
        hits.with(value).increment()
        hits.with("b").increment()
        let escaped = String(repeating: #"\""#, count: length)
        let expected =
            "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
            + "hits_total{a=\"\(escaped)\"} 1\nhits_total{a=\"b\"} 1\n"
        // Compared outside #expect, which would print them in full.
        let isSame = registry.text() == expected
        #expect(isSame)
    }

    @Test func `overlong labels return a working child that is counted and not exposed`() {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: (0..<64).map { "l\($0)" })
        let child = hits.with(Array(repeating: String(repeating: "x", count: 10_000), count: 64))
        child.increment()
        #expect(child.value == 1)
        #expect(registry.observationsRefused("labels_too_long") == "1")
        #expect(registry.text().utf8.count < 100_000)
    }
}
