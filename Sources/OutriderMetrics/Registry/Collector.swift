// SPDX-License-Identifier: Apache-2.0
// Collectors: sources of values that are read at each scrape, rather than recorded.

/// A source of values that each scrape reads: `/proc`, a pool, a cache.
///
/// Register it with ``Registry/add(_:)`` or ``Registry/register(_:)``. From then on, each scrape
/// calls ``collect(into:)`` on a thread created for it, with a stack of 2 MiB. Scrapes may overlap,
/// so a collector must be thread-safe, and it should return quickly. A collector that throws, or
/// that has not returned by the scrape's limit, is left out of that scrape and counted in
/// `outrider_collector_failures_total{collector}`; this is logged once until it works again. The
/// rest of the scrape is served. A collector that hangs is not called again until it has returned.
///
/// A conforming type passes this test: after registration, a scrape contains each declared family
/// once, with the added values, and no label set of a family twice.
///
/// ```swift
/// struct QueueCollector: Collector {
///     static let depth = CollectedFamily.gauge(
///         "queue_depth", help: "Items waiting.", labels: ["queue"])
///     let queues: [Queue]
///
///     var name: String { "queues" }
///     var families: [CollectedFamily] { [Self.depth] }
///     func collect(into samples: inout CollectedSamples) {
///         for queue in queues { samples.add(Self.depth, queue.count, queue.name) }
///     }
/// }
/// ```
public protocol Collector: Sendable {
    /// The value of the label `collector` in metrics about collectors; unique in a registry.
    var name: String { get }

    /// All families that this collector exposes; read once, at registration.
    var families: [CollectedFamily] { get }

    /// Adds the current samples.
    func collect(into samples: inout CollectedSamples) throws
}

/// A metric family that a ``Collector`` exposes.
public struct CollectedFamily: Hashable, Sendable {
    let kind: MetricKind
    let name: String
    let help: String
    let labels: [String]

    /// A value that only grows; `_total` is added to the name if it is missing.
    public static func counter(
        _ name: String, help: String, labels: [String] = []
    ) -> CollectedFamily {
        CollectedFamily(kind: .counter, name: name, help: help, labels: labels)
    }

    /// The states that something is in: a sample for each state, 1 or 0.
    ///
    /// The state is the last label; its name is that of the family (OpenMetrics 1.0, "StateSet").
    public static func stateSet(
        _ name: String, help: String, labels: [String] = []
    ) -> CollectedFamily {
        CollectedFamily(kind: .stateSet, name: name, help: help, labels: labels + [name])
    }

    /// A value that can go up and down.
    public static func gauge(
        _ name: String, help: String, labels: [String] = []
    ) -> CollectedFamily {
        CollectedFamily(kind: .gauge, name: name, help: help, labels: labels)
    }
}

/// The samples that a ``Collector`` adds in one scrape.
public struct CollectedSamples {
    /// The samples of one family: contiguous rendered labels, and a value for each sample.
    struct Series {
        private(set) var labels: [UInt8] = []
        private(set) var samples: [(labelsEnd: Int, value: Double)] = []
        /// The labels of all samples; filled once there are more than a few.
        private var seen: Set<[UInt8]> = []
        /// Up to this many samples are compared with each other.
        private static let few = 16

        /// Adds a sample; false if there is already one with the same labels.
        mutating func add(_ value: Double, labels key: UnsafeBufferPointer<UInt8>) -> Bool {
            guard unsafe isNew(key) else { return false }
            unsafe labels.append(contentsOf: key)
            samples.append((labels.count, value))
            return true
        }

        private mutating func isNew(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
            if samples.count < Self.few { return unsafe !isAmongFew(key) }
            if seen.isEmpty {
                var start = 0
                for sample in samples {
                    seen.insert(Array(labels[start..<sample.labelsEnd]))
                    start = sample.labelsEnd
                }
            }
            return unsafe seen.insert(Array(key)).inserted
        }

        private func isAmongFew(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
            unsafe labels.withUnsafeBufferPointer { labels in
                var start = 0
                for sample in samples {
                    let range = start..<sample.labelsEnd
                    start = sample.labelsEnd
                    if unsafe UnsafeBufferPointer(rebasing: labels[range]).isSame(as: key) {
                        return true
                    }
                }
                return false
            }
        }
    }

    private let plan: CollectionPlan
    private(set) var series: [Series]
    /// The index of the last sample's family.
    private var last = 0

    init(_ plan: CollectionPlan) {
        self.plan = plan
        series = Array(repeating: Series(), count: plan.families.count)
    }

    /// Adds a sample, with label values in the order of the family's definition.
    ///
    /// A family that the collector did not declare and a wrong number of labels are refused and
    /// counted in `outrider_observations_refused_total{reason}`. So are a negative or NaN value of
    /// a counter, a second sample with the same labels, and a sample that would give the family
    /// more than 16 MiB of labels. A label value longer than ``LabelLimits/valueLength`` is cut.
    public mutating func add(_ family: CollectedFamily, _ value: Double, _ labels: String...) {
        add(family, value, labels: labels)
    }

    /// Adds a sample that is a whole number; exact up to 2^53.
    public mutating func add(_ family: CollectedFamily, _ value: Int, _ labels: String...) {
        add(family, Double(value), labels: labels)
    }

    private mutating func add(_ family: CollectedFamily, _ value: Double, labels: [String]) {
        guard let index = plan.index(of: family, hint: last) else {
            return plan.diagnostics.refuse(
                .undeclared,
                "collector \"\(plan.name)\" adds to \(family.name) but does not declare it")
        }
        last = index
        let target = plan.families[index]
        guard labels.count == target.labelHeads.count else {
            return plan.diagnostics.refuse(
                .wrongLabels,
                "collector \"\(plan.name)\" passes \(labels.count) labels to \(family.name)")
        }
        if target.definition.kind == .counter, !(value >= 0) {
            return plan.diagnostics.refuse(
                value.isNaN ? .notANumber : .negative,
                "collector \"\(plan.name)\" sets the counter \(family.name) to \(value)")
        }
        let isNew = unsafe LabelBlock.withRendered(
            heads: target.labelHeads, values: labels.span, order: target.order,
            longest: plan.diagnostics.longestValue
        ) { key, cuts in
            plan.diagnostics.noteCuts(cuts, of: family.name)
            guard series[index].labels.count + key.count <= SeriesLimit.default.labelBytes else {
                plan.diagnostics.refuse(
                    .labelBytes,
                    "collector \"\(plan.name)\" passes over 16 MiB of labels to \(family.name)")
                return true
            }
            return unsafe series[index].add(value, labels: key)
        }
        switch isNew {
        case true: break
        case false:
            plan.diagnostics.refuse(
                .duplicate,
                "collector \"\(plan.name)\" adds the labels \(labels) to \(family.name) twice")
        case nil:
            plan.diagnostics.refuse(
                .labelsTooLong,
                "collector \"\(plan.name)\" passes a label set of over 64 KiB to \(family.name)")
        }
    }
}
