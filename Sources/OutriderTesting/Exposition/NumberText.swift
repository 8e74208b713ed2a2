// SPDX-License-Identifier: Apache-2.0
// The format of numbers in messages and diffs.

/// Formats numbers.
enum NumberText {
    /// Formats a number as in an exposition: `3`, `0.25`, `1e+21`, `+Inf`, `NaN`.
    static func of(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let text = "\(value)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
