// SPDX-License-Identifier: Apache-2.0
// Expectations about the growth of a sample while code runs.

public import OutriderMetrics

extension Registry {
    /// Expects a sample to grow by an amount while `body` runs.
    ///
    /// For metrics that other tests may have changed before, such as those of
    /// ``OutriderMetrics/Registry/shared``. A series that does not exist before counts as zero;
    /// afterwards it must exist. Amounts are compared up to floating-point rounding. Other threads
    /// must not change the series at the same time.
    ///
    /// ```swift
    /// try Registry.shared.expectGrowth(of: "orders_total", ["kind": "book"], by: 1) {
    ///     try shop.order("book")
    /// }
    /// ```
    ///
    /// - Returns: What `body` returns.
    /// - Throws: ``ExpectationFailure`` with the actual growth, or the error of `body`.
    @discardableResult
    public func expectGrowth<Result>(
        of name: String, _ labels: [String: String] = [:], by amount: Double,
        _ body: () throws -> Result
    ) throws -> Result {
        let before = try readable().value(name, labels)
        let result = try body()
        try check(growthOf: name, labels, from: before, by: amount)
        return result
    }

    /// Expects a sample to grow by an amount while `body` runs.
    ///
    /// The asynchronous variant. Concurrent tests must not change the series.
    ///
    /// - Returns: What `body` returns.
    /// - Throws: ``ExpectationFailure`` with the actual growth, or the error of `body`.
    @discardableResult
    nonisolated(nonsending)
        public func expectGrowth<Result>(
            of name: String, _ labels: [String: String] = [:], by amount: Double,
            _ body: nonisolated(nonsending) () async throws -> Result
        ) async throws -> Result
    {
        let before = try readable().value(name, labels)
        let result = try await body()
        try check(growthOf: name, labels, from: before, by: amount)
        return result
    }

    private func check(
        growthOf name: String, _ labels: [String: String], from before: Double?, by amount: Double
    ) throws(ExpectationFailure) {
        let exposition = try readable()
        let series = Series(name, labels)
        guard let after = exposition.value(name, labels) else {
            throw ExpectationFailure(
                description: """
                    expected \(series) to grow by \(NumberText.of(amount)), but \
                    \(exposition.availableNames(instead: name))
                    """)
        }
        let start = before ?? 0
        let growth = after - start
        // The rounding error of a sum depends on its largest term.
        let tolerance = max(start.magnitude, after.magnitude, amount.magnitude) * 1e-12
        if (growth - amount).magnitude <= tolerance || growth == amount { return }
        let from = before.map(NumberText.of) ?? "nothing"
        throw ExpectationFailure(
            description: """
                expected \(series) to grow by \(NumberText.of(amount)), but it grew by \
                \(NumberText.of(growth)): from \(from) to \(NumberText.of(after))
                """)
    }
}
