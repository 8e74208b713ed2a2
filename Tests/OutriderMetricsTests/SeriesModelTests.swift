// SPDX-License-Identifier: Apache-2.0
// Tests of random operations on a family, compared with a dictionary.

import OutriderMetrics
import Testing

@Suite struct SeriesModelTests {
    private static let names = ["a", "ab", "b"]
    private static let values = [
        "", "1", "11", "\"", "\\", "\\\"", "\n", "\\n", "1\",ab=\"1", "=", ",", "é", "🐦", "{}",
    ]

    /// The expected state of the family.
    private struct Model {
        struct Series {
            var generation: Int
            var count: Int
        }

        var living: [[String]: Series] = [:]
        var generation = 0

        mutating func touch(_ key: [String]) -> Int {
            if let found = living[key] { return found.generation }
            generation += 1
            living[key] = Series(generation: generation, count: 0)
            return generation
        }

        /// The key of the newest series that is not newer than `generation`.
        func key(upTo generation: Int) -> [String]? {
            var found: (key: [String]?, generation: Int) = (nil, 0)
            for (key, series) in living where series.generation <= generation {
                if series.generation > found.generation { found = (key, series.generation) }
            }
            return found.key
        }

        /// Removes the series with these values at these indices of their keys.
        mutating func removeAll(matching wanted: [(index: Int, value: String)]) -> Int {
            var remaining: [[String]: Series] = [:]
            for (key, series) in living {
                var matches = true
                for (index, value) in wanted where key[index] != value { matches = false }
                if !matches { remaining[key] = series }
            }
            defer { living = remaining }
            return living.count - remaining.count
        }

        /// The samples, without order, which another test covers.
        var lines: Set<String> {
            var lines: Set<String> = []
            for (key, series) in living {
                let labels = zip(names, key).filter { !$0.1.isEmpty }
                    .map { "\($0)=\"\(escaped[$1] ?? $1)\"" }.joined(separator: ",")
                lines.insert("m_total\(labels.isEmpty ? "" : "{\(labels)}") \(series.count)")
            }
            return lines
        }
    }

    /// Each value as it is printed in the exposition.
    private static let escaped = Dictionary(
        uniqueKeysWithValues: values.map { value in
            let parts = value.map {
                $0 == "\n" ? "\\n" : "\\\"".contains($0) ? "\\\($0)" : "\($0)"
            }
            return (value, parts.joined())
        })

    @Test(arguments: 0..<8)
    func `random operations leave the same series as in a dictionary`(turn: Int) {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        let registry = Registry.bare
        let family = registry.counter("m", help: "M.", labels: Self.names)
        var model = Model()
        var kept: [(counter: Counter, key: [String], generation: Int)] = []

        for step in 0..<4_000 {
            let key = Self.names.map { _ in Self.values.randomElement(using: &generator) ?? "" }
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<50:
                let counter = family.with(key)
                let generation = model.touch(key)
                if kept.count < 300 { kept.append((counter, key, generation)) }
                counter.increment()
                model.living[key]?.count += 1
            case 50..<75:
                guard let one = kept.randomElement(using: &generator) else { continue }
                one.counter.increment(by: 1_000)
                if model.living[one.key]?.generation == one.generation {
                    model.living[one.key]?.count += 1_000
                }
            case 75..<90:
                let generation = Int.random(in: 0...model.generation, using: &generator)
                let isPresent = Bool.random(using: &generator)
                let target = isPresent ? model.key(upTo: generation) ?? key : key
                let wasThere = model.living.removeValue(forKey: target) != nil
                let removed = family.remove(target[0], target[1], target[2])
                #expect(removed == wasThere, "step \(step), seed \(seed)")
            case 90..<98:
                var labels: [String: String] = [:]
                var wanted: [(index: Int, value: String)] = []
                for (index, value) in key.enumerated() where Bool.random(using: &generator) {
                    labels[Self.names[index]] = value
                    wanted.append((index, value))
                }
                if labels.isEmpty { continue }
                let removed = family.removeAll(matching: labels)
                #expect(
                    removed == model.removeAll(matching: wanted),
                    "step \(step), \(labels), seed \(seed)")
            case 98 where step % 10 == 0:
                family.removeAll()
                model.living = [:]
            default:
                if !kept.isEmpty {
                    kept.remove(at: Int.random(in: kept.indices, using: &generator))
                }
            }
            if step % 40 == 0 || step == 3_999 {
                let lines = registry.text().split(separator: "\n").dropFirst(2).map(String.init)
                #expect(Set(lines) == model.lines, "step \(step), seed \(seed)")
                #expect(lines.count == model.living.count, "step \(step), seed \(seed)")
                #expect(family.count == model.living.count, "step \(step), seed \(seed)")
            }
        }
    }
}
