// SPDX-License-Identifier: Apache-2.0
// Fuzzes Accept: every field selects a format, with a valid Content-Type.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    let field = String(decoding: bytes, as: UTF8.self)
    let best = NegotiatedFormat.best(for: field)
    let known = [
        "text/plain; version=", "application/openmetrics-text; version=",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; ",
    ]
    let isKnown = known.contains { best.contentType.hasPrefix($0) }
    precondition(isKnown && best.contentType.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    precondition(NegotiatedFormat.best(for: field) == best)
    // A field with any suffix still selects a format.
    let longer = NegotiatedFormat.best(for: "text/plain, " + field)
    precondition(!longer.contentType.isEmpty)
    for item in WeightedItem.list(field) { precondition((0...1000).contains(item.quality)) }
    return 0
}
