// SPDX-License-Identifier: Apache-2.0
// The query of a profile request.

internal import OutriderEndpoint
internal import OutriderProfile

/// The parameters of a profile request: Go's parameters, and `format`.
///
/// If a parameter occurs twice, the first occurrence counts, because scrapers append theirs to the
/// configured ones. Unknown parameters are ignored. So is `gc`: memory is freed here as soon as it
/// is no longer referenced.
struct ProfileQuery: Equatable {
    /// Longest span, in seconds; a longer one counts as this.
    static let longestDelta = 300

    /// The output format.
    let format: ProfileFormat
    /// The span of a delta profile, in seconds; nil for a profile since the start.
    let seconds: Int?

    /// Why a request is invalid.
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    init(_ request: Request) throws(Problem) {
        try self.init { request.arguments($0).first }
    }

    init(_ argument: (String) -> String?) throws(Problem) {
        seconds = try Self.seconds(argument("seconds"))
        let debug = try Self.debug(argument("debug"))
        guard let name = argument("format") else {
            format = debug ?? .pprof
            return
        }
        guard let wanted = ProfileFormat(rawValue: name) else {
            let known = ProfileFormat.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(description: "format must be one of \(known)")
        }
        if let debug, debug != wanted {
            throw Problem(
                description: "format and debug contradict each other; use only one")
        }
        format = wanted
    }

    private static func seconds(_ text: String?) throws(Problem) -> Int? {
        guard let text else { return nil }
        guard let number = Int(text), number >= 1 else {
            throw Problem(
                description: "seconds must be a whole number from 1 to \(longestDelta)")
        }
        return min(number, longestDelta)
    }

    private static func debug(_ text: String?) throws(Problem) -> ProfileFormat? {
        guard let text else { return nil }
        switch Int(text) {
        case 0: return .pprof
        case .some(1...): return .text
        default: throw Problem(description: "debug must be 0 (binary) or 1 (text)")
        }
    }
}
