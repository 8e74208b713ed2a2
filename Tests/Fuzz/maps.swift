// SPDX-License-Identifier: Apache-2.0
// Fuzzes the parser of /proc/self/maps: mappings are in order and do not overlap, and a truncated
// line yields the same mapping or none.

/// The entry point that libFuzzer calls with each input; the first byte is the cut position.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = bytes.first else { return 0 }
    let text = Array(bytes.dropFirst())
    let whole = mappings(text)
    var end: UInt = 0
    for mapping in whole {
        precondition(mapping.start >= end && mapping.end > mapping.start)
        end = mapping.end
    }
    let some = mappings(Array(text.prefix(text.count * Int(first) / 256)))
    precondition(some == Array(whole.prefix(some.count)))
    return 0
}

/// The mappings up to the first invalid line.
private func mappings(_ text: [UInt8]) -> [Mapping] {
    var reader = MappingsText()
    var found: [Mapping] = []
    var line: Int? = 0
    while let start = line, let mapping = reader.mapping(at: start, in: text.span) {
        found.append(mapping)
        line = KernelText.nextLine(start, in: text.span)
    }
    return found
}
