// SPDX-License-Identifier: Apache-2.0
// Numbers as messages and diffs show them.

/// The spelling of numbers.
enum NumberText {
    /// A number as an exposition would show it: `3`, `0.25`, `1e+21`, `+Inf`, `NaN`.
    static func of(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let text = "\(value)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
