// SPDX-License-Identifier: Apache-2.0
// Request methods as label values: a known few, and `_OTHER` for all else.
//
// The client chooses the method. A scanner that tries a thousand of them must not create a thousand
// series.

/// The methods that a recorder distinguishes, by index.
struct MethodTable: Sendable {
    /// Additional methods beyond the nine standard ones.
    static let additionalLimit = 6
    /// The number of method indexes: nine, one for the rest, and the additional ones.
    static let count = 10 + additionalLimit

    private static let other = 9
    private static let known = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "_OTHER",
    ]

    private let additional: [String]
    private let labels: [String]

    init(additional: [String] = []) {
        var more: [String] = []
        for method in additional where !method.isEmpty && !(Self.known + more).contains(method) {
            more.append(method)
        }
        self.additional = Array(more.prefix(Self.additionalLimit))
        labels = Self.known + self.additional
    }

    /// The index of a method; methods are case-sensitive (RFC 9110, section 9.1).
    func index(of method: String) -> Int {
        switch method {
        case "GET": 0
        case "POST": 1
        case "PUT": 2
        case "DELETE": 3
        case "HEAD": 4
        case "PATCH": 5
        case "OPTIONS": 6
        case "CONNECT": 7
        case "TRACE": 8
        default: indexBeyondKnown(method)
        }
    }

    /// The label value for an index.
    func label(_ index: Int) -> String { labels[index] }

    private func indexBeyondKnown(_ method: String) -> Int {
        guard let position = additional.firstIndex(of: method) else { return Self.other }
        return Self.other + 1 + position
    }
}
