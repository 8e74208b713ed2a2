// SPDX-License-Identifier: Apache-2.0
// The escaping schemes that a scraper may request; MetricNames.swift implements them.
//
// Source: "Escaping schemes" of the Prometheus documentation.

/// How names that are not classic names are exposed.
enum NameEscaping: String, CaseIterable {
    /// Unchanged, in quotation marks.
    case none = "allow-utf-8"
    /// `_` for each character that is not allowed.
    case underscores
    /// Like `underscores`, but `_dot_` for a dot, and `__` for `_` and for characters not allowed.
    case dots
    /// The prefix `U__`, `__` for `_`, and `_1f600_` (the code point) for characters not allowed.
    case values
}
