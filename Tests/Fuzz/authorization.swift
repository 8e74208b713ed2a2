// SPDX-License-Identifier: Apache-2.0
// Fuzzes Authorization: a token matches only itself, and a field without a token matches none.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let field = String(decoding: bytes, as: UTF8.self)
    if let token = BearerToken(authorization: field) {
        precondition(token.matches(token))
        precondition(field.lowercased().hasPrefix("bearer "))
    }
    guard let own = BearerToken(file: bytes) else { return 0 }
    let line = String(decoding: bytes.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
    precondition(BearerToken(authorization: "bEARER   " + line) == own)
    for other in ["x", line + "x", "x" + line, String(line.reversed())] {
        guard let token = BearerToken(authorization: "Bearer " + other) else { continue }
        precondition(token.matches(own) == (other == line))
        precondition(own.matches(token) == (other == line))
    }
    return 0
}
