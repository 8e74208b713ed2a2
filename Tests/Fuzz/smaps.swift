// SPDX-License-Identifier: Apache-2.0
// A list of mappings, whatever is in it: in order, without overlap, none below zero, and a list that was
// cut is the beginning of the whole one or none.

/// What libFuzzer calls with each input; the first byte says where it is cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = bytes.first else { return 0 }
    let text = Array(bytes.dropFirst())
    guard let mappings = MappingsText.mappings(text.span) else { return 0 }
    var end: UInt = 0
    for mapping in mappings {
        precondition(mapping.start >= end && mapping.end > mapping.start)
        precondition(mapping.residentBytes >= 0)
        end = mapping.end
    }
    let cut = Array(text.prefix(text.count * Int(first) / 256))
    if let some = MappingsText.mappings(cut.span) {
        precondition(some == Array(mappings.prefix(some.count)))
    }
    return 0
}
