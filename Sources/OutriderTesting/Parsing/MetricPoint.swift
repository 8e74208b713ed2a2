// SPDX-License-Identifier: Apache-2.0
// A metric point: for example the buckets, sum and count of one histogram at one timestamp.

/// Samples of one family that share their labels and their timestamp.
struct MetricPoint {
    /// The labels and timestamp shared by the samples of a point.
    struct Key: Hashable {
        let labels: [String: String]
        let timestamp: Double?
    }

    let key: Key
    let family: String
    private(set) var samples: [(sample: Exposition.Sample, line: Int)] = []

    /// Groups the samples of a family into points; in OpenMetrics, interleaved points are an error.
    static func points(
        of samples: [(sample: Exposition.Sample, line: Int)], of family: String,
        _ type: Exposition.FamilyType, _ format: Exposition.Format
    ) throws(ExpositionError) -> [MetricPoint] {
        let own = type.distinguishingLabel(of: family)
        var points: [MetricPoint] = []
        var indices: [Key: Int] = [:]
        var metrics: Set<[String: String]> = []
        for (sample, line) in samples {
            let labels = sample.series.labels.filter { $0.key != own }
            let key = Key(labels: labels, timestamp: sample.timestamp)
            let isNewMetric = metrics.insert(labels).inserted
            let index = indices[key] ?? points.count
            let isNext = points.isEmpty || isNewMetric || labels == points.last?.key.labels
            if format == .openMetrics,
                !isNext || index < points.count - 1
            {
                throw ExpositionError(
                    line: line,
                    problem: """
                        the samples of \(family)\(Series.text(of: labels)) are interleaved with \
                        others
                        """)
            }
            if index == points.count {
                indices[key] = index
                points.append(MetricPoint(key: key, family: family))
            }
            points[index].samples.append((sample, line))
        }
        return points
    }

    /// Checks the rules that concern the whole point.
    func check(_ type: Exposition.FamilyType, _ format: Exposition.Format) throws(ExpositionError) {
        switch type {
        case .histogram, .gaugeHistogram:
            try checkBuckets()
            try checkCount(type, format)
        case .summary where format == .text:
            try checkOrder(of: quantiles, "quantiles")
        case .counter where format == .openMetrics && value("_total") == nil:
            throw failure("the counter \(name) has no sample \(family)_total")
        case .counter, .gauge, .summary, .info, .stateSet, .unknown:
            break
        }
    }

    // MARK: - Rules

    private func checkBuckets() throws(ExpositionError) {
        let buckets = buckets
        try checkOrder(of: buckets, "buckets")
        for (bucket, next) in zip(buckets, buckets.dropFirst())
        where next.sample.value < bucket.sample.value {
            throw ExpositionError(
                line: next.line,
                problem: """
                    the buckets of \(name) are not cumulative: \(NumberText.of(next.sample.value)) \
                    comes after \(NumberText.of(bucket.sample.value))
                    """)
        }
        if buckets.last?.bound != .infinity {
            throw failure("the histogram \(name) has no bucket with le=\"+Inf\"")
        }
    }

    private func checkCount(
        _ type: Exposition.FamilyType, _ format: Exposition.Format
    ) throws(ExpositionError) {
        let isGauge = type == .gaugeHistogram
        let count = value(isGauge ? "_gcount" : "_count")
        let sum = value(isGauge ? "_gsum" : "_sum")
        if let count, let all = buckets.last, count.sample.value != all.sample.value {
            throw ExpositionError(
                line: count.line,
                problem: """
                    \(count.sample.name) of \(name) is \(NumberText.of(count.sample.value)), but \
                    its bucket +Inf is \(NumberText.of(all.sample.value))
                    """)
        }
        switch format {
        case .text:
            if count == nil { throw failure("the histogram \(name) has no sample \(family)_count") }
        case .openMetrics:
            if (count == nil) != (sum == nil) {
                throw failure("the histogram \(name) must have a sum and a count, or neither")
            }
            if !isGauge, let sum, let first = buckets.first?.bound, first < 0 {
                throw ExpositionError(
                    line: sum.line,
                    problem: "\(sum.sample.name) is not allowed with a bucket below zero")
            }
        }
    }

    private func checkOrder(
        of samples: [(sample: Exposition.Sample, line: Int, bound: Double)], _ what: String
    ) throws(ExpositionError) {
        for (sample, next) in zip(samples, samples.dropFirst()) where next.bound <= sample.bound {
            throw ExpositionError(
                line: next.line, problem: "the \(what) of \(name) are not in ascending order")
        }
    }

    // MARK: - Parts

    /// The name of the metric in messages.
    private var name: String { family + Series.text(of: key.labels) }

    private var buckets: [(sample: Exposition.Sample, line: Int, bound: Double)] {
        bounded(by: "le")
    }

    private var quantiles: [(sample: Exposition.Sample, line: Int, bound: Double)] {
        bounded(by: "quantile")
    }

    private func bounded(
        by label: String
    ) -> [(sample: Exposition.Sample, line: Int, bound: Double)] {
        samples.compactMap { sample, line in
            sample.labels[label].flatMap(LineScanner.number).map { (sample, line, $0) }
        }
    }

    private func value(_ suffix: String) -> (sample: Exposition.Sample, line: Int)? {
        samples.first { $0.sample.name == family + suffix }
    }

    private func failure(_ problem: String) -> ExpositionError {
        ExpositionError(line: samples.first?.line, problem: problem)
    }
}
