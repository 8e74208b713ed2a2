// SPDX-License-Identifier: Apache-2.0
// Tests that the advice on names equals promtool's, finding by finding.

import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

@Suite struct NamingTests {
    @Test func `conventional names need no advice`() throws {
        let registry = Registry.bare
        registry.counter("orders_total", help: "Orders.", labels: ["kind"]).with("a").increment()
        registry.histogram("wait_seconds", help: "Waits.").observe(1)
        registry.info("build", help: "Build.", ["version": "1"])
        #expect(try registry.namingAdvice() == [])
    }

    @Test func `each finding is reported once, sorted by metric and text`() throws {
        let registry = Registry.bare
        let gauge = registry.gauge("waitTime_ms", help: "", labels: ["shopName"])
        gauge.with("a").set(1)
        gauge.with("b").set(1)
        registry.gauge("disk_kilobytes_total", help: "Disk.").set(1)
        #expect(
            try registry.namingAdvice().map { "\($0)" } == [
                "disk_kilobytes_total non-counter metrics should not have \"_total\" suffix",
                "disk_kilobytes_total use base unit \"bytes\" instead of \"kilobytes\"",
                "waitTime_ms label names should be written in 'snake_case' not 'camelCase'",
                "waitTime_ms metric names should be written in 'snake_case' not 'camelCase'",
                "waitTime_ms metric names should not contain abbreviated units",
                "waitTime_ms no help text",
            ])
    }

    @Test func `a registry's own metrics need no advice`() throws {
        let registry = Registry(log: DiagnosticLog { _, _ in })
        _ = registry.text()
        #expect(try registry.namingAdvice() == [])
    }

    @Test func `OpenMetrics gets the same advice under the names of the text format`() throws {
        let exposition = try Exposition(
            parsing: """
                # TYPE orders counter
                # HELP orders Orders.
                orders_total 1
                # TYPE build info
                build_info{appName="x"} 1
                # EOF
                """, as: .openMetrics)
        #expect(
            exposition.advice()
                == [
                    NamingAdvice(metric: "build_info", text: "no help text"),
                    NamingAdvice(
                        metric: "build_info",
                        text: "label names should be written in 'snake_case' not 'camelCase'"),
                ].sorted())
    }

    @Test(.enabled(if: Promtool.path != nil, "promtool is NOT on PATH: nothing was compared"))
    func `promtool reports the same findings for valid and invalid names`() throws {
        let text = NamingCorpus.text
        let theirs = try Promtool.checkMetrics(text)
        // promtool 2.53 objects to a type in a name only if it is the metric's own; 2.42 objects to
        // any.
        let objectsToAnyType = theirs.contains { NamingCorpus.isAboutAnotherType($0) }
        let own = try Exposition(parsing: text, as: .text).advice().map { "\($0)" }
            .filter { objectsToAnyType || !NamingCorpus.isAboutAnotherType($0) }
        #expect(own.count > 100, "the corpus must cause many findings")
        #expect(Set(own).subtracting(theirs) == [])
        #expect(Set(theirs).subtracting(own) == [])
    }
}
