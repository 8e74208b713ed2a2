// SPDX-License-Identifier: Apache-2.0
// Text in pages.

/// What pages need of HTML.
package enum HTML {
    /// A text that may stand between tags, and in an attribute's quotes.
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
