// SPDX-License-Identifier: Apache-2.0
// How a request came: in the clear or encrypted.

/// The scheme of a request's URL, as the label `url_scheme` has it.
public enum URLScheme: Int, CaseIterable, Sendable {
    /// In the clear.
    case http
    /// Over TLS.
    case https

    static var count: Int { 2 }

    var label: String {
        switch self {
        case .http: "http"
        case .https: "https"
        }
    }
}
