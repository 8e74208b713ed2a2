// SPDX-License-Identifier: Apache-2.0
// Fuzzes Accept-Encoding: gzip is used only if the field names it, or allows everything.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    let field = String(decoding: bytes, as: UTF8.self)
    guard AcceptEncoding.allowsGzip(field) else { return 0 }
    let names = WeightedItem.list(field).filter { $0.quality > 0 }.map(\.name)
    precondition(names.contains { ["gzip", "x-gzip", "*"].contains($0) })
    precondition(!AcceptEncoding.allowsGzip("gzip;q=0, " + field))
    return 0
}
