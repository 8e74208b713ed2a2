// SPDX-License-Identifier: Apache-2.0
// The schemes in which a scraper may want names; MetricNames.swift has what they do.
//
// Source: "Escaping schemes" of the Prometheus documentation.

/// How a scraper wants names that not every scraper can read.
enum NameEscaping: String, CaseIterable {
    /// As they are, in quotation marks.
    case none = "allow-utf-8"
    /// With `_` for each character that is not allowed.
    case underscores
    /// The same, but with `_dot_` for a dot and `__` for `_` and what is not allowed.
    case dots
    /// With `U__` before them, `__` for `_`, and `_1f600_` for what is not allowed.
    case values
}
