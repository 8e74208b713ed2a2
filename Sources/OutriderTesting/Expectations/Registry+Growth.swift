// SPDX-License-Identifier: Apache-2.0
// By how much a number grows while something runs.

public import OutriderMetrics

extension Registry {
    /// Expects that a sample grows by an amount while `body` runs.
    ///
    /// For metrics that other tests may have counted before, such as those of
    /// ``OutriderMetrics/Registry/shared``. A series that is not there before counts as zero;
    /// afterwards it must be there. Amounts are equal up to the rounding of doubles. Other threads
    /// must leave the series alone meanwhile.
    ///
    /// ```swift
    /// try Registry.shared.expectGrowth(of: "orders_total", ["kind": "book"], by: 1) {
    ///     try shop.order("book")
    /// }
    /// ```
    ///
    /// - Returns: What `body` returns.
    /// - Throws: ``ExpectationFailure`` with what it grew by instead, or what `body` throws.
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

    /// Expects that a sample grows by an amount while `body` runs.
    ///
    /// For a `body` that waits; in all else the same as with one that does not. Tests that run
    /// beside it must leave the series alone.
    ///
    /// - Returns: What `body` returns.
    /// - Throws: ``ExpectationFailure`` with what it grew by instead, or what `body` throws.
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
                    \(exposition.whatIsThere(instead: name))
                    """)
        }
        let start = before ?? 0
        let growth = after - start
        // A sum of doubles may be off by the last bits of its largest part.
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
