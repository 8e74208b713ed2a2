// SPDX-License-Identifier: Apache-2.0
// A parser for Accept and Accept-Encoding: comma-separated lists with parameters and weights.
//
// The input is untrusted. So parsing never fails, takes time and memory proportional to a prefix of
// limited length, and skips what it cannot parse.

/// One element of a list: `text/plain; version=0.0.4; q=0.3`.
struct WeightedItem: Equatable {
    /// The element without its parameters, in lower case.
    let name: String
    /// Names in lower case, values as received, without quotes; `q` is excluded.
    let parameters: [Parameter]
    /// The weight in thousandths, 0 to 1000 (RFC 9110, 12.4.2).
    let quality: Int

    struct Parameter: Equatable {
        let name: String
        let value: String
    }

    /// The maximum number of bytes parsed; real fields have a few hundred.
    private static let fieldLimit = 8 << 10
    /// The maximum number of elements parsed; real fields have a handful.
    private static let countLimit = 64

    /// The elements of a field in their order; those without a name are skipped.
    static func list(_ field: String) -> [WeightedItem] {
        let bytes = Array(field.utf8.prefix(fieldLimit))
        var items: [WeightedItem] = []
        for element in split(bytes[...], at: UInt8(ascii: ",")) where items.count < countLimit {
            if let item = WeightedItem(element) { items.append(item) }
        }
        return items
    }

    /// The value of a parameter, the first if there are several.
    func parameter(_ name: String) -> String? {
        parameters.first { $0.name == name }?.value
    }

    private init?(_ element: ArraySlice<UInt8>) {
        var parts = Self.split(element, at: UInt8(ascii: ";"))[...]
        let name = parts.popFirst().map(Self.trimmed) ?? []
        if name.isEmpty { return nil }
        var parameters: [Parameter] = []
        var quality = 1000
        for part in parts {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let key = Self.lowercased(Self.trimmed(part[..<equals]))
            let value = Self.unquoted(Self.trimmed(part[equals...].dropFirst()))
            if key == "q" {
                quality = Self.quality(value)
            } else if !key.isEmpty {
                parameters.append(
                    Parameter(name: key, value: String(decoding: value, as: UTF8.self)))
            }
        }
        self.name = Self.lowercased(name)
        self.parameters = parameters
        self.quality = quality
    }

    /// A weight; values out of range are clamped, and 1 is used if it is not a number.
    ///
    /// Prometheus 2.49 sends `q=2`.
    static func quality(_ text: some Collection<UInt8>) -> Int {
        let isNegative = text.first == UInt8(ascii: "-")
        var value = 0
        var decimals: Int?
        var digits = 0
        for byte in isNegative ? text.dropFirst() : text.dropFirst(0) {
            if byte == UInt8(ascii: "."), decimals == nil {
                decimals = 0
                continue
            }
            guard (0x30...0x39).contains(byte) else { return 1000 }
            digits += 1
            let digit = Int(byte - 0x30)
            switch decimals {
            case nil: value = min(value * 10 + digit * 1000, 10_000)
            case 0: value += digit * 100
            case 1: value += digit * 10
            case 2: value += digit
            default: break
            }
            decimals = decimals.map { $0 + 1 }
        }
        if digits == 0 { return 1000 }
        return isNegative ? 0 : min(value, 1000)
    }

    /// Splits at separators, except those in a quoted string.
    private static func split(
        _ bytes: ArraySlice<UInt8>, at separator: UInt8
    ) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = bytes.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in bytes.indices {
            let byte = bytes[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == separator, !isQuoted {
                parts.append(bytes[start..<index])
                start = index + 1
            }
        }
        parts.append(bytes[start...])
        return parts
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        let start = bytes.drop(while: isSpace)
        guard let last = start.lastIndex(where: { !isSpace($0) }) else { return [] }
        return start[...last]
    }

    private static func unquoted(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        guard bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == bytes.first
        else { return Array(bytes) }
        var value: [UInt8] = []
        var isEscaped = false
        for byte in bytes.dropFirst().dropLast() {
            if byte == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
            } else {
                value.append(byte)
                isEscaped = false
            }
        }
        return value
    }

    private static func lowercased(_ bytes: ArraySlice<UInt8>) -> String {
        let lower = bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        return String(decoding: lower, as: UTF8.self)
    }
}
