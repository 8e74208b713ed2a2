// SPDX-License-Identifier: Apache-2.0
// Histogram buckets for operations inside a service.

public import OutriderMetrics

extension Buckets {
    /// From 0.1 ms to 10 s: waits and work inside a service, which are shorter than requests.
    public static let instruments: Buckets = [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
        2.5, 5,
        10,
    ]
}
