// SPDX-License-Identifier: Apache-2.0
// Invalid definitions, each for the throwing and the non-throwing calls, with the expected error.

import OutriderMetrics
import Testing

/// A definition that is refused, and the earlier one that makes it invalid, if any.
struct Mistake: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: RegistrationError.Code
    /// A text that the advice must contain.
    let subject: String
    /// Registers the conflicting definition.
    var before: @Sendable (Registry) -> Void = { _ in }
    /// Registers the invalid definition with the call that throws.
    let attempt: @Sendable (Registry) throws(RegistrationError) -> Void
    /// Registers the same definition with the call that never fails, and uses the result.
    let use: @Sendable (Registry) -> Void

    static let all = names + labels + buckets + conflicts

    static let names: [Mistake] =
        [
            "", "9lives", "a-b", "a b", "a.b", "größe", "a\nb", "a{b", "a\u{0}", "👍", "a\"",
        ].map { name in
            gauge(name, code: .invalidMetricName, subject: name)
        }
        + ["up", "scrape_duration_seconds"].map { name in
            gauge(name, code: .reservedMetricName, subject: name)
        }

    static let labels: [Mistake] =
        ["", "9", "a-b", "a:b", "größe", "a\"", "a\nb", " a"].map { label in
            gauge("x", labels: [label], code: .invalidLabelName, subject: label)
        }
        + ["__name__", "__x", "__", "le", "quantile"].map { label in
            gauge("x", labels: ["fine", label], code: .reservedLabelName, subject: label)
        } + [gauge("x", labels: ["a", "b", "a"], code: .invalidLabelName, subject: "a")]

    static let buckets: [Mistake] = [[2, 1], [], [.nan]].map { bounds in
        Mistake(
            testDescription: "buckets \(bounds)", code: .invalidBuckets, subject: "x",
            attempt: { (registry) throws(RegistrationError) in
                _ = try registry.register(
                    histogram: "x", help: "X.", labels: ["a"], buckets: Buckets(bounds))
            },
            use: { registry in
                let child = registry.histogram(
                    "x", help: "X.", labels: ["a"], buckets: Buckets(bounds)
                ).with("1")
                child.observe(1)
                #expect(child.count == 1)
                #expect(child.sum == 1)
            })
    }

    static let conflicts: [Mistake] = [
        gauge("x", code: .differentType, subject: "counter") { registry in
            _ = registry.counter("x", help: "X.")
        },
        gauge("x_total", code: .differentType, subject: "counter") { registry in
            _ = registry.counter("x", help: "X.")
        },
        gauge("x", code: .differentType, subject: "histogram") { registry in
            _ = registry.histogram("x", help: "X.")
        },
        gauge("x", help: "Another X.", code: .differentHelp, subject: "X.") { registry in
            _ = registry.gauge("x", help: "X.")
        },
        gauge("x", code: .differentLabels, subject: "a") { registry in
            _ = registry.gauge("x", help: "X.", labels: ["a"])
        },
        gauge("x", labels: ["a"], code: .differentLabels, subject: "x") { registry in
            _ = registry.gauge("x", help: "X.")
        },
        gauge("x", labels: ["a"], code: .differentLabels, subject: "b") { registry in
            _ = registry.gauge("x", help: "X.", labels: ["b"])
        },
        gauge("x", labels: ["a"], code: .differentLabels, subject: "b") { registry in
            _ = registry.gauge("x", help: "X.", labels: ["a", "b"])
        },
        Mistake(
            testDescription: "other buckets", code: .differentBuckets, subject: "x",
            before: { _ = $0.histogram("x", help: "X.", buckets: [1, 2]) },
            attempt: { (registry) throws(RegistrationError) in
                _ = try registry.register(histogram: "x", help: "X.", buckets: [1, 3])
            },
            use: { registry in
                let histogram = registry.histogram("x", help: "X.", buckets: [1, 3])
                histogram.observe(7)
                #expect(histogram.sum == 7)
            }),
        Mistake(
            testDescription: "a callback's name", code: .nameTaken, subject: "x",
            before: { $0.gauge("x", help: "X.") { 1 } },
            attempt: { (registry) throws(RegistrationError) in
                _ = try registry.register(gauge: "x", help: "X.")
            },
            use: { registry in
                let gauge = registry.gauge("x", help: "X.")
                gauge.set(5)
                #expect(gauge.value == 5)
            }),
    ]

    private static func gauge(
        _ name: String, help: String = "X.", labels: [String] = [],
        code: RegistrationError.Code, subject: String,
        before: @escaping @Sendable (Registry) -> Void = { _ in }
    ) -> Mistake {
        Mistake(
            testDescription: "gauge \(name.debugDescription) \(labels): \(code)", code: code,
            subject: subject, before: before,
            attempt: { (registry) throws(RegistrationError) in
                if labels.isEmpty {
                    _ = try registry.register(gauge: name, help: help)
                } else {
                    _ = try registry.register(gauge: name, help: help, labels: labels)
                }
            },
            use: { registry in
                let gauge =
                    labels.isEmpty
                    ? registry.gauge(name, help: help)
                    : registry.gauge(name, help: help, labels: labels)
                        .with(labels.map { _ in "v" })
                gauge.set(5)
                gauge.increment()
                #expect(gauge.value == 6)
            })
    }
}
