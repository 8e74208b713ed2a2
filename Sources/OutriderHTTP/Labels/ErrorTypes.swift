// SPDX-License-Identifier: Apache-2.0
// Why a request failed, as the label `error_type`: a known word, the status, or a Swift type.
//
// Types of errors come from code and not from clients, but generic ones can be many, so that their
// number has a bound here too.

internal import OutriderProfile
internal import OutriderThreading

/// Why a request failed, by number.
enum ErrorKind {
    /// It did not.
    static let none = 0
    /// The client went away or its task was cancelled.
    static let clientDisconnect = 1
    /// Nobody said how it ended.
    static let abandoned = 2
    /// An outgoing request was given up by its caller.
    static let cancelled = 3
    /// The status says it.
    static let status = 4
    /// A type of error beyond those that are told apart.
    static let other = 5
    /// The first number of a type.
    static let firstType = 6
}

/// The types of errors that a recorder has seen; thread-safe.
final class ErrorTypes: Sendable {
    /// Types that are told apart.
    static let limit = 64
    /// Characters of a type's name.
    fileprivate static let nameLimit = 100

    private struct State: Sendable {
        var numbers: [ObjectIdentifier: Int] = [:]
        var namedNumbers: [String: Int] = [:]
        var names: [String] = []

        /// The number of a name that was not met before.
        mutating func add(_ name: String) -> Int? {
            guard names.count < ErrorTypes.limit else { return nil }
            names.append(String(name.prefix(ErrorTypes.nameLimit)))
            return ErrorKind.firstType + names.count - 1
        }
    }

    private let state = Guarded(State())

    /// The number of an error's type.
    func number(of error: any Error) -> Int {
        let type = type(of: error)
        return state.withLock { state in
            if let number = state.numbers[ObjectIdentifier(type)] { return number }
            // Unqualified: a private type's full name has an address that differs in each run.
            let name = TypeName.of(type, qualified: false)
            guard let number = state.add(name) else { return ErrorKind.other }
            state.numbers[ObjectIdentifier(type)] = number
            return number
        }
    }

    /// The number of an error that a framework has a word for, beside its type.
    func number(named name: String) -> Int {
        state.withLock { state in
            if let number = state.namedNumbers[name] { return number }
            guard let number = state.add(name) else { return ErrorKind.other }
            state.namedNumbers[name] = number
            return number
        }
    }

    /// The label value for a number.
    func label(_ number: Int, status: Int) -> String {
        switch number {
        case ErrorKind.none: ""
        case ErrorKind.clientDisconnect: "client_disconnect"
        case ErrorKind.abandoned: "abandoned"
        case ErrorKind.cancelled: "cancelled"
        case ErrorKind.status: String(status)
        case ErrorKind.other: "_OTHER"
        default: state.withLock { $0.names[number - ErrorKind.firstType] }
        }
    }
}
