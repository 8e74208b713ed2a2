// SPDX-License-Identifier: Apache-2.0
// Records through swift-metrics, like a library that does not depend on Outrider.

import CoreMetrics
import OutriderMetrics

/// A type of swift-metrics.
enum SwiftMetricsKind: String, Decodable {
    case counter
    case meter
    case recorder
    case timer
}

extension SwiftMetricsKind {
    /// Records numbers under a label and dimensions; a timer's are in seconds.
    func record(
        _ numbers: [Double], _ label: String, _ dimensions: [(String, String)],
        through factory: OutriderMetricsFactory
    ) {
        for number in numbers {
            switch self {
            case .counter:
                FloatingPointCounter(label: label, dimensions: dimensions, factory: factory)
                    .increment(by: number)
            case .meter:
                Meter(label: label, dimensions: dimensions, factory: factory).set(number)
            case .recorder:
                Recorder(label: label, dimensions: dimensions, factory: factory).record(number)
            case .timer:
                CoreMetrics.Timer(label: label, dimensions: dimensions, factory: factory)
                    .recordSeconds(number)
            }
        }
    }
}
