// SPDX-License-Identifier: Apache-2.0
// Tests of error types as label values: readable and bounded.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

/// An error type for each pair of types.
private struct Failure<First, Second>: Error {}

/// Two types with the same name.
private enum One {
    struct Refused: Error {}
}
private enum Other {
    struct Refused: Error {}
}

private struct
    AnErrorWhoseNameIsLongerThanAnybodyWouldEverWantToReadOnADashboardOrInAnAlertThatWakesThemUp:
        Error
{}

private enum Choice: Error, CustomStringConvertible {
    case one(String)
    var description: String { "a description is not a type" }
}

@Suite struct ErrorTypeTests {
    private let recording = Recording { $0.buckets = [1] }

    private static let parts: [Any.Type] = [
        Int.self, Int8.self, Int16.self, Int32.self, Int64.self, UInt.self, UInt8.self,
        UInt16.self, UInt32.self, UInt64.self,
    ]

    /// A hundred errors, each of a different type.
    private static var many: [any Error] {
        func failure<First, Second>(_: First.Type, _: Second.Type) -> any Error {
            Failure<First, Second>()
        }
        return parts.flatMap { first in parts.map { failure(first, $0) } }
    }

    private func errorTypes() throws -> [String] {
        try recording.registry.values(of: "error_type", on: "\(Recording.durations)_count")
    }

    @Test func `an error type is named without its module and enclosing types`() throws {
        recording.begin().finish(.failed(One.Refused()))
        #expect(try errorTypes() == ["Refused"])
    }

    @Test func `a local type is named without its function`() throws {
        struct Local: Error {}
        recording.begin().finish(.failed(Local()))
        #expect(try errorTypes() == ["Local"])
    }

    @Test func `an error's payload and description are not part of its type`() throws {
        for number in 0..<100 { recording.begin().finish(.failed(Choice.one("\(number)"))) }
        #expect(try errorTypes() == ["Choice"])
        #expect(try recording.counted() == 100)
    }

    @Test func `two types with the same name share a series`() throws {
        recording.begin().finish(.failed(One.Refused()))
        recording.begin().finish(.failed(Other.Refused()))
        let labels = Recording.labels("500", error: "Refused")
        try recording.registry.expect("\(Recording.durations)_count", labels, 2)
    }

    @Test func `types beyond the first 64 share one series, and every request is counted`() throws {
        let many = Self.many
        for _ in 0..<2 {
            for error in many { recording.begin().finish(.failed(error)) }
        }
        let types = try errorTypes()
        #expect(types.count == 65)
        #expect(types.contains("_OTHER"))
        #expect(types.contains("Failure<Int, Int8>"))
        #expect(try recording.counted(where: ["error_type": "_OTHER"]) == 72)
        #expect(try recording.counted() == 200)
        #expect(try recording.inFlight() == 0)
    }

    @Test func `errors that are not recorded use none of the 64 slots`() throws {
        for error in Self.many {
            let token = recording.begin()
            token.setStatus(404)
            token.finish(.failed(error))
        }
        recording.begin().finish(.failed(OutOfStock()))
        #expect(try errorTypes() == ["", "OutOfStock"])
    }

    @Test func `a long type name is truncated`() throws {
        typealias Long =
            AnErrorWhoseNameIsLongerThanAnybodyWouldEverWantToReadOnADashboardOrInAnAlertThatWakesThemUp
        recording.begin().finish(.failed(Failure<Long, Long>()))
        let type = try #require(try errorTypes().first)
        #expect(type.count == 100)
        #expect(type.hasPrefix("Failure<AnErrorWhoseName"))
    }
}
