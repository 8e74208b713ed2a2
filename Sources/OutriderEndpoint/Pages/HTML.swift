// SPDX-License-Identifier: Apache-2.0
// HTML escaping.

/// HTML helpers for pages.
package enum HTML {
    /// Escapes a text for use between tags or in a quoted attribute.
    package static func escaped(_ text: String) -> String {
        // By scalars: a quote with a combining mark is one Character, but ends an attribute.
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;".unicodeScalars
            case "<": result += "&lt;".unicodeScalars
            case ">": result += "&gt;".unicodeScalars
            case "\"": result += "&quot;".unicodeScalars
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
