// SPDX-License-Identifier: Apache-2.0
// Tests of buckets: explicit, linear, exponential, and invalid ones, which are refused.

import OutriderMetrics
import Testing

@Suite struct BucketsTests {
    @Test func `linear buckets are one width apart`() {
        #expect(Buckets.linear(start: -5, width: 2.5, count: 4) == [-5, -2.5, 0, 2.5])
    }

    @Test func `linear buckets do not accumulate rounding errors`() {
        #expect(bounds(of: .linear(start: 0, width: 0.1, count: 101)).last == "10.0")
    }

    @Test func `exponential buckets are one factor apart`() {
        #expect(Buckets.exponential(start: 64, factor: 4, count: 4) == [64, 256, 1_024, 4_096])
    }

    @Test func `generated bounds have the shortest decimals`() {
        #expect(
            bounds(of: .exponential(start: 1e-6, factor: 10, count: 8)) == [
                "1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1.0", "10.0",
            ])
        #expect(
            bounds(of: .linear(start: 0.1, width: 0.1, count: 10)) == [
                "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0",
            ])
        #expect(
            bounds(of: .linear(start: -0.3, width: 0.1, count: 5)) == [
                "-0.3", "-0.2", "-0.1", "0.0", "0.1",
            ])
        #expect(
            bounds(of: .exponential(start: 0.1, factor: 1.1, count: 4)) == [
                "0.1", "0.11", "0.121", "0.1331",
            ])
        #expect(
            bounds(of: .exponential(start: -0.8, factor: 0.5, count: 3)) == [
                "-0.8", "-0.4", "-0.2",
            ])
    }

    @Test func `long sequences of bounds are exact`() {
        // Errors do not accumulate: the last bound has the decimals of the exact power.
        let tens = Buckets.exponential(start: 1e-300, factor: 10, count: 500)
        let last = bounds(of: .exponential(start: 1e-200, factor: 10, count: 401)).last
        #expect(last == "1e+200")
        #expect(code(of: tens) == nil)
        let twos = Buckets.exponential(start: 1, factor: 2, count: 500)
        #expect(
            twos
                == Buckets(
                    (0..<500).map { Double(sign: .plus, exponent: $0, significand: 1) }))
        #expect(
            Buckets.linear(start: 1e-30, width: 1e30, count: 2) == [1e-30, 1e30])
    }

    @Test func `an observation equal to a bound is in the bucket of that bound`() {
        let registry = Registry.bare
        let histogram = registry.histogram(
            "h", help: "H.", buckets: .exponential(start: 1e-6, factor: 10, count: 3))
        histogram.observe(1e-5)
        #expect(registry.sample(#"h_bucket{le="1e-05"}"#) == "1")
    }

    @Test func `a last bucket of +Inf is optional`() {
        #expect(Buckets([1, 2, .infinity]) == Buckets([1, 2]))
        #expect(bounds(of: [1, 2, .infinity]) == ["1.0", "2.0"])
    }

    @Test func `lowLatency starts below a millisecond`() {
        #expect(
            bounds(of: .lowLatency) == [
                "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.075", "0.1",
                "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0",
            ])
    }

    @Test(arguments: [
        [], [.infinity], [2, 1], [1, 1], [0, -0.0], [.nan], [1, .nan, 2], [-.infinity, 1],
        [1, .infinity, .infinity], [1, .infinity, 2], Array(repeating: 1, count: 3),
        (0..<501).map(Double.init),
    ])
    func `invalid bounds are refused`(bounds: [Double]) {
        #expect(code(of: Buckets(bounds)) == .invalidBuckets)
    }

    @Test(arguments: [
        Buckets.linear(start: 0, width: 0, count: 3), .linear(start: 0, width: -1, count: 3),
        .linear(start: 0, width: .nan, count: 3), .linear(start: .nan, width: 1, count: 3),
        .linear(start: 0, width: 1, count: 0), .linear(start: 0, width: 1, count: -1),
        .linear(start: 0, width: 1, count: .max), .linear(start: 0, width: 1, count: .min),
        .linear(start: 1e308, width: 1e308, count: 3),
        .exponential(start: 0, factor: 2, count: 3), .exponential(start: 1, factor: 1, count: 3),
        .exponential(start: 1, factor: 0.5, count: 3), .exponential(start: 1, factor: 2, count: -1),
        .exponential(start: 1, factor: 2, count: .max),
        .exponential(start: 1, factor: .nan, count: 2),
        .exponential(start: 1e308, factor: 10, count: 3),
    ])
    func `invalid parameters of generated bounds are refused`(buckets: Buckets) {
        #expect(code(of: buckets) == .invalidBuckets)
    }

    @Test func `the maximum number of buckets is accepted`() {
        let count = Buckets.maximumCount
        #expect(bounds(of: .linear(start: 0, width: 1, count: count)).count == count)
    }

    /// The code of the error that registering a histogram with these buckets throws, or nil.
    private func code(of buckets: Buckets) -> RegistrationError.Code? {
        do {
            _ = try Registry.bare.register(histogram: "x", help: "X.", buckets: buckets)
            return nil
        } catch {
            return error.code
        }
    }

    /// The printed upper bounds, without `+Inf`.
    private func bounds(of buckets: Buckets) -> [Substring] {
        let registry = Registry.bare
        _ = registry.histogram("x", help: "X.", buckets: buckets)
        return registry.text().split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\"")
            return parts.count == 3 && parts[1] != "+Inf" ? parts[1] : nil
        }
    }

    @Test func `a bound of minus zero is zero in every format`() {
        let registry = Registry(hasOwnMetrics: false)
        let balance = registry.histogram("balance", help: "Balance.", buckets: [-1, -0.0, 1])
        balance.observe(-0.5)
        #expect(registry.text().contains("balance_bucket{le=\"0.0\"} 1\n"))
        #expect(!registry.text().contains("le=\"-0"))
    }
}
