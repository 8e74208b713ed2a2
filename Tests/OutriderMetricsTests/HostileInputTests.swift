// SPDX-License-Identifier: Apache-2.0
// Tests that no input from the service stops its process or makes a scrape unparsable.

import OutriderMetrics
import Testing

@Suite struct HostileInputTests {
    private static let texts = [
        "", "a", "b", "a_total", "_total", "_info", "_bucket", "__", "le", "a\nb", "a{b=\"c\"} 1",
        "\u{0}",
        "🐦", "e\u{301}", "é", "\u{FEFF}", "\r\n", "# TYPE a counter", "\\", "\"", "a_count",
        "a_sum",
        "a_bucket", "a_info", "9", String(repeating: "x", count: 10_000),
    ]
    private static let numbers: [Double] = [
        0, -0.0, 1, -1, .nan, .infinity, -.infinity, .greatestFiniteMagnitude,
        -.greatestFiniteMagnitude,
        .leastNonzeroMagnitude, 0.1, 1e300,
    ]

    @Test(arguments: 0..<4)
    func `any use of the non-throwing calls leaves a parsable scrape`(turn: Int) {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        let registry = Registry(log: .silent)
        for _ in 0..<1_500 { Self.useSomehow(registry, &generator) }
        // Compared as bytes, as a scraper does: two spellings of é are two values, but one
        // Character.
        var seen: Set<[UInt8]> = []
        for line in registry.text().split(separator: "\n", omittingEmptySubsequences: true) {
            let problem = Self.problem(with: line)
            #expect(problem == nil, "\(problem ?? ""): \(line.prefix(200)); seed \(seed)")
            if !line.hasPrefix("#") {
                let series = line[..<(line.lastIndex(of: " ") ?? line.endIndex)]
                let isNew = seen.insert(Array(series.utf8)).inserted
                #expect(isNew, "twice: \(series.prefix(200)); seed \(seed)")
            }
        }
        #expect(seen.count > 10)
    }

    /// Registers a random metric, valid or not, and records on it.
    private static func useSomehow(_ registry: Registry, _ generator: inout SeededGenerator) {
        func text() -> String { texts.randomElement(using: &generator) ?? "" }
        func number() -> Double { numbers.randomElement(using: &generator) ?? 0 }
        func list<Element>(_ element: () -> Element) -> [Element] {
            (0..<Int.random(in: 0...4, using: &generator)).map { _ in element() }
        }
        switch Int.random(in: 0..<9, using: &generator) {
        case 0:
            let counter = registry.counter(text(), help: text())
            counter.increment(by: number())
            counter.increment(by: Int.random(in: .min ... .max, using: &generator))
        case 1:
            let family = registry.counter(text(), help: "H", labels: list(text))
            family.with(list(text)).increment()
            family.remove(text(), text())
            family.removeAll(matching: [text(): text()])
        case 2:
            registry.gauge(text(), help: "H").increment(by: number())
        case 3:
            let family = registry.gauge(text(), help: "H", labels: ["a", "b"])
            family.with(text(), text()).set(number())
            family.with([text(): text()].merging(["a": "", "b": text()]) { $1 }).set(1)
        case 4:
            registry.histogram(text(), help: "H", buckets: Buckets(list(number)))
                .observe(number())
        case 5:
            registry.histogram(text(), help: "H", labels: ["a"]).with(text()).observe(number())
        case 6:
            let info = registry.info(text(), help: "H", [text(): text()])
            info.set([text(): text()].merging(["a": "b"]) { $1 })
        case 7:
            let value = number()
            registry.counter(text(), help: "H") { value }
        default:
            let family = CollectedFamily.counter(text(), help: "H", labels: list(text))
            let (value, label) = (number(), text())
            registry.add(
                TestCollector(name: text(), families: [family]) { $0.add(family, value, label) })
        }
        if Int.random(in: 0..<20, using: &generator) == 0 { registry.unregister(text()) }
    }

    /// The problem with a line of the text format, or nil.
    private static func problem(with line: Substring) -> String? {
        if line.hasPrefix("# HELP ") || line.hasPrefix("# TYPE ") { return nil }
        guard let space = line.lastIndex(of: " ") else { return "no value" }
        let value = line[line.index(after: space)...]
        let isNumber = ["NaN", "+Inf", "-Inf"].contains(value) || Double(value)?.isFinite == true
        if !isNumber { return "not a number" }
        let series = line[..<space]
        let name = series.prefix { $0 != "{" }
        let isName = name.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "_")
        }
        if name.isEmpty || !isName { return "not a name" }
        let labels = series.dropFirst(name.count)
        if labels.isEmpty { return nil }
        guard labels.hasSuffix("\"}") else { return "labels do not end" }
        var inside = false
        var isEscaped = false
        for scalar in labels.unicodeScalars {
            if isEscaped {
                guard "\\\"n".unicodeScalars.contains(scalar) else { return "unknown escape" }
                isEscaped = false
            } else if scalar == "\"" {
                inside.toggle()
            } else if scalar == "\\" {
                guard inside else { return "a backslash outside of a value" }
                isEscaped = true
            }
        }
        return inside ? "a value does not end" : nil
    }
}
