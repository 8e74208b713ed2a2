// SPDX-License-Identifier: Apache-2.0
// Values of the label `error_type`: a known word, the status, or a Swift type.
//
// Error types come from code and not from clients, but generic types can be many, so their number
// is limited here too.

internal import OutriderProfile
internal import OutriderThreading

/// The indexes of the reasons why a request failed.
enum ErrorKind {
    /// It did not fail.
    static let none = 0
    /// The client disconnected, or the task was cancelled.
    static let clientDisconnect = 1
    /// The token was released without an outcome.
    static let abandoned = 2
    /// The caller gave up an outgoing request.
    static let cancelled = 3
    /// The status is the reason.
    static let status = 4
    /// An error type beyond the limit.
    static let other = 5
    /// The first index of an error type.
    static let firstType = 6
}

/// The error types that a recorder has seen; thread-safe.
final class ErrorTypes: Sendable {
    /// Error types that are distinguished.
    static let limit = 64
    /// Characters of a type's name that are kept.
    fileprivate static let nameLimit = 100

    private struct State: Sendable {
        var indices: [ObjectIdentifier: Int] = [:]
        var namedIndices: [String: Int] = [:]
        var names: [String] = []

        /// Adds a new name and returns its index; nil beyond the limit.
        mutating func add(_ name: String) -> Int? {
            guard names.count < ErrorTypes.limit else { return nil }
            names.append(String(name.prefix(ErrorTypes.nameLimit)))
            return ErrorKind.firstType + names.count - 1
        }
    }

    private let state = Guarded(State())

    /// The index of an error's type.
    func index(of error: any Error) -> Int {
        let type = type(of: error)
        return state.withLock { state in
            if let index = state.indices[ObjectIdentifier(type)] { return index }
            // Unqualified: a private type's full name has an address that differs in each run.
            let name = TypeName.of(type, qualified: false)
            guard let index = state.add(name) else { return ErrorKind.other }
            state.indices[ObjectIdentifier(type)] = index
            return index
        }
    }

    /// The index of an error that a framework names, apart from its type.
    func index(named name: String) -> Int {
        state.withLock { state in
            if let index = state.namedIndices[name] { return index }
            guard let index = state.add(name) else { return ErrorKind.other }
            state.namedIndices[name] = index
            return index
        }
    }

    /// The label value for an index.
    func label(_ index: Int, status: Int) -> String {
        switch index {
        case ErrorKind.none: ""
        case ErrorKind.clientDisconnect: "client_disconnect"
        case ErrorKind.abandoned: "abandoned"
        case ErrorKind.cancelled: "cancelled"
        case ErrorKind.status: String(status)
        case ErrorKind.other: "_OTHER"
        default: state.withLock { $0.names[index - ErrorKind.firstType] }
        }
    }
}
