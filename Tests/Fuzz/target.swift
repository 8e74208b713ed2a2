// SPDX-License-Identifier: Apache-2.0
// Fuzzes request targets: an accepted target has one meaning, and parses to the same value when it
// is percent-encoded again.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    guard let target = try? RequestTarget(bytes) else { return 0 }
    precondition(target.path.utf8.first == UInt8(ascii: "/"))
    for trap in ["//", "..", "\\", "\0"] { precondition(!contains(target.path, trap)) }
    precondition(target.query.count <= RequestTarget.argumentLimit)
    let query = target.query.map { "\(encoded($0.name))=\(encoded($0.value))" }
    let again = "/" + encoded(String(target.path.dropFirst())) + "?" + query.joined(separator: "&")
    precondition((try? RequestTarget(Array(again.utf8))) == target)
    return 0
}

private func contains(_ text: String, _ part: String) -> Bool {
    let (bytes, part) = (Array(text.utf8), Array(part.utf8))
    return bytes.indices.contains { bytes[$0...].starts(with: part) }
}

/// Percent-encodes every byte.
private func encoded(_ text: String) -> String {
    let digits = Array("0123456789abcdef")
    return text.utf8.reduce(into: "") { result, byte in
        result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
    }
}
