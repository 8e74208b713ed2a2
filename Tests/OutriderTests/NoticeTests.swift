// SPDX-License-Identifier: Apache-2.0
// Tests of the notices for operators on the landing page.

import Outrider
import TestSupport
import Testing

@Suite struct NoticeTests {
    @Test func `the landing page names a family beyond its limit, and its widest label`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        let hits = agent.registry.counter(
            "hits", help: "Hits.", labels: ["path"], limit: SeriesLimit(count: 2))
        #expect(try !fetch("/", from: address(of: agent)).text.contains("<p>"))
        for path in ["/", "/<b>", "/c", "/d"] { hits.with(path).increment() }
        let landing = try fetch("/", from: address(of: agent)).text
        #expect(
            landing.contains(
                "<p>hits_total is at its limit of 2 series. 2 lookups got its overflow series "
                    + "instead. The label path has the most values (2): &quot;/&lt;b&gt;&quot;, "
                    + "&quot;/&quot;</p>"))
        let scrape = try fetch("/metrics", from: address(of: agent)).text
        #expect(
            scrape.contains(#"outrider_series_overflowed_total{family="hits_total"} 2"# + "\n"))
    }
}
