// SPDX-License-Identifier: Apache-2.0
// Lookups of single samples by name and labels.

extension Exposition {
    /// The sample with this name and exactly these labels; nil if there is none.
    ///
    /// The order of labels does not matter, and a label with an empty value is the same as no
    /// label. If OpenMetrics has several timestamps of a series, the last one is returned.
    ///
    /// - Parameters:
    ///   - name: The name of a sample, not of a family: `wait_seconds_count`.
    ///   - labels: All of its labels, including `le` and `quantile`, spelled as they are exposed.
    /// - Complexity: Linear in the number of samples.
    public func sample(_ name: String, _ labels: [String: String] = [:]) -> Sample? {
        let series = Series(name, labels)
        for family in families.reversed() {
            if let found = family.samples.last(where: { $0.name == name && $0.series == series }) {
                return found
            }
        }
        return nil
    }

    /// The value of the sample with this name and exactly these labels; nil if there is none.
    ///
    /// See ``sample(_:_:)``.
    public func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        sample(name, labels)?.value
    }

    /// Expects a sample without labels to have this value.
    ///
    /// - Throws: ``ExpectationFailure`` with what was found instead.
    public func expect(_ name: String, _ value: Double) throws(ExpectationFailure) {
        try expect(name, [:], value)
    }

    /// Expects the sample with this name and exactly these labels to have this value.
    ///
    /// The value is compared exactly; NaN equals NaN here.
    ///
    /// - Throws: ``ExpectationFailure`` with what was found instead.
    public func expect(
        _ name: String, _ labels: [String: String], _ value: Double
    ) throws(ExpectationFailure) {
        guard let sample = sample(name, labels) else {
            let wanted = "expected \(Series(name, labels)) \(NumberText.of(value))"
            throw ExpectationFailure(description: "\(wanted), but \(availableNames(instead: name))")
        }
        let isEqual = sample.value == value || sample.value.isNaN && value.isNaN
        if !isEqual {
            throw ExpectationFailure(
                description: """
                    expected \(sample.series) \(NumberText.of(value)), but it is \
                    \(NumberText.of(sample.value))
                    """)
        }
    }
}
