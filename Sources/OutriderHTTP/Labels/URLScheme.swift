// SPDX-License-Identifier: Apache-2.0
// The scheme of a request: plain or encrypted.

/// The scheme of a request's URL, the value of the label `url_scheme`.
public enum URLScheme: Int, CaseIterable, Sendable {
    /// Unencrypted.
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
