// SPDX-License-Identifier: Apache-2.0
// The `traceparent` header, which carries a trace from service to service.
//
// It comes from outside, so it is parsed strictly: a value that violates the specification gives no
// exemplar. Nothing else depends on it.

package import OutriderMetrics

/// A W3C trace context whose trace is sampled: version, trace, parent span, flags.
///
/// Source: W3C Trace Context, section 3.2, "traceparent Header".
package struct Traceparent {
    let trace: String
    let span: String

    /// Parses `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`; nil for anything else, and
    /// for a trace that is not sampled, because it could not be looked up.
    package init?(_ text: String) {
        // Most traces are not sampled, so this check comes before any copy.
        guard Self.isSampled(text.utf8) else { return nil }
        // 2 + 1 + 32 + 1 + 16 + 1 + 2; a later version may continue after another dash.
        let bytes = Array(text.utf8.prefix(56))
        guard bytes.count >= 55, bytes[2] == Self.dash, bytes[35] == Self.dash,
            bytes[52] == Self.dash, let version = Self.byte(bytes[0], bytes[1]), version != 0xFF,
            version == 0 ? text.utf8.count == 55 : bytes.count == 55 || bytes[55] == Self.dash,
            Self.byte(bytes[53], bytes[54]) != nil,
            let trace = Self.identifier(bytes[3..<35]), let span = Self.identifier(bytes[36..<52])
        else { return nil }
        self.trace = trace
        self.span = span
    }

    /// The exemplar that links to the trace.
    package var exemplar: Exemplar { .trace(trace, span: span) }

    /// Whether the lowest bit of the flags is set.
    private static func isSampled(_ text: String.UTF8View) -> Bool {
        guard let last = text.index(text.startIndex, offsetBy: 54, limitedBy: text.endIndex),
            last < text.endIndex
        else { return false }
        return (digit(text[last]) ?? 0) & 1 == 1
    }

    private static let dash = UInt8(ascii: "-")

    /// The text of an identifier: lower-case hexadecimal digits, not all of them zero.
    private static func identifier(_ bytes: ArraySlice<UInt8>) -> String? {
        guard bytes.allSatisfy({ digit($0) != nil }), bytes.contains(where: { $0 != 0x30 })
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func byte(_ high: UInt8, _ low: UInt8) -> UInt8? {
        guard let high = digit(high), let low = digit(low) else { return nil }
        return high << 4 | low
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
