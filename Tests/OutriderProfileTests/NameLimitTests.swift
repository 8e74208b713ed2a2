// SPDX-License-Identifier: Apache-2.0
// Tests of names that are hard to demangle: they cost no more than others, on any thread.

import CTestSupport
import OutriderProfile
import Testing

struct Both<First, Second> {
    var first: First
    var second: Second
}

class Shelf<Content> {}
final class DeepShelf<Content>: Shelf<Int> {}
enum Fault<Reason>: Error { case other }

/// `Both<Both<…>, Both<…>>`, nested `times` deep; its name has about 2 to the power of `times`
/// words.
private func doubled<Content>(_ type: Content.Type, _ times: Int) -> any Any.Type {
    times == 0 ? type : doubled(Both<Content, Content>.self, times - 1)
}

/// The same for tuples.
private func paired<Content>(_ type: Content.Type, _ times: Int) -> any Any.Type {
    times == 0 ? type : paired((Content, Content).self, times - 1)
}

/// The same for functions.
private func mapped<Content>(_ type: Content.Type, _ times: Int) -> any Any.Type {
    times == 0 ? type : mapped(((Content) -> Content).self, times - 1)
}

/// `Optional<Optional<…>>`, nested `times` deep.
private func nested<Content>(_ type: Content.Type, _ times: Int) -> any Any.Type {
    times == 0 ? type : nested(Content?.self, times - 1)
}

private func shelf<Content>(_ type: Content.Type) -> any Any.Type { DeepShelf<Content>.self }

@Suite struct NameLimitTests {
    /// The symbolized frame of a function, looked up on a thread with a small stack.
    private static func name(of function: UInt) throws -> Frame {
        final class Question {
            let address: UInt
            var frame: Frame?
            init(_ address: UInt) { self.address = address }
        }
        // A return address within the function.
        let question = Question(function + 1)
        let body: @convention(c) (UnsafeMutableRawPointer?) -> Void = { argument in
            guard let argument = unsafe argument else { return }
            // SAFETY: The caller holds the question and waits.
            let question = unsafe Unmanaged<Question>.fromOpaque(argument).takeUnretainedValue()
            question.frame =
                Symbolizer(history: .shared).symbols(of: [question.address])[question.address]
        }
        let isRun = unsafe test_on_small_stack(
            256 << 10, body, Unmanaged.passUnretained(question).toOpaque())
        try #require(isRun != 0)
        return try #require(question.frame)
    }

    @Test func `a name nested 4,000 levels deep is demangled on a thread with a small stack`()
        throws
    {
        let frame = try Self.name(of: test_deep_name())
        #expect(frame.mangledName?.utf8.count ?? 0 > 8_000)
        #expect(frame.name?.hasPrefix("f(") == true, "\(frame.name ?? "")")
    }

    @Test func `a name that expands exponentially stays mangled`() throws {
        for frame in [
            try Self.name(of: test_doubling_cxx_name()),
            try Self.name(of: test_doubling_swift_name()),
        ] {
            #expect(frame.name != nil && frame.name == frame.mangledName)
        }
    }

    @Test func `a name of any length is truncated`() throws {
        let frame = try Self.name(of: test_long_name())
        #expect(frame.name?.hasPrefix("long_name_abc") == true)
        #expect(frame.name?.utf8.count ?? 0 < 2_100)
        #expect(frame.mangledName?.utf8.count ?? 0 < 8_300)
    }

    @Test func `types have the same names as in the runtime`() {
        let types: [any Any.Type] = [
            Int.self, Both<String, [Int?]>.self, Shelf<Both<Int, Int>>.self, shelf(Set<Int>.self),
            (first: Int, second: String).self, ((Int, String) -> [Int]).self, Fault<Int>.self,
            (any Error).self, (any Sequence & Sendable).self, Int.Type.self, (any Error.Type).self,
            AnyObject.self, Dictionary<String, [Double]>.self, doubled(Int.self, 3),
            paired(Int.self, 3),
            mapped(Int.self, 3), nested(Int.self, 20),
        ]
        for type in types {
            #expect(TypeName.of(type, qualified: true) == _typeName(type, qualified: true))
            #expect(TypeName.of(type, qualified: false) == _typeName(type, qualified: false))
        }
    }

    @Test func `a type whose name expands exponentially has its declaration's name`() {
        #expect(
            TypeName.of(doubled(Int.self, 24), qualified: true) == "OutriderProfileTests.Both<…>")
        #expect(TypeName.of(doubled(Int.self, 24), qualified: false) == "Both<…>")
        let boxes = TypeName.of(shelf(doubled(Int.self, 24)), qualified: true)
        #expect(boxes == "OutriderProfileTests.DeepShelf<…>")
        for type in [paired(Int.self, 24), mapped(Int.self, 24)] {
            #expect(TypeName.of(type, qualified: true).utf8.count < 100)
        }
    }

    @Test func `a type nested a thousand levels deep has its declaration's name`() {
        #expect(TypeName.of(nested(Int.self, 1_000), qualified: true) == "Swift.Optional<…>")
    }

    @Test func `a text is truncated between two characters`() {
        #expect("abc".utf8Prefix(3) == "abc" && "abcd".utf8Prefix(3) == "abc")
        #expect("aéb".utf8Prefix(2) == "a" && "aéb".utf8Prefix(3) == "aé")
    }
}
