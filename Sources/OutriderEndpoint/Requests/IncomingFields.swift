// SPDX-License-Identifier: Apache-2.0
// The header fields of a request, as the library parsed them.

internal import CMicroHTTPD

/// A header field as received.
struct IncomingField {
    let name: String
    let value: String
    /// Whether the name is a token and the value has no control bytes (RFC 9110, 5.1 and 5.5).
    let isWellFormed: Bool

    init(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
        unsafe isWellFormed =
            !name.isEmpty && name.allSatisfy(Self.isToken)
            && value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        unsafe self.name = String(decoding: name, as: UTF8.self)
        unsafe self.value = String(decoding: value, as: UTF8.self)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

/// The header fields of a request, up to a limit.
final class IncomingFields {
    /// More than legitimate clients send; beyond it, a request is refused rather than read in part.
    private static let limit = 100

    private(set) var all: [IncomingField] = []
    /// Whether the request has more fields than the limit.
    private(set) var isCut = false

    /// The header fields of a request.
    static func of(_ connection: outrider_mhd_connection) -> IncomingFields {
        let fields = IncomingFields()
        unsafe outrider_mhd_headers(
            connection,
            { visitor, name, nameSize, value, valueSize in
                guard let visitor = unsafe visitor else { return 0 }
                let fields = unsafe Unmanaged<IncomingFields>.fromOpaque(visitor)
                    .takeUnretainedValue()
                return unsafe fields.add(name, nameSize, value, valueSize) ? 1 : 0
            }, Unmanaged.passUnretained(fields).toOpaque())
        return fields
    }

    /// Adds a field; false if the limit is reached and the iteration should end.
    private func add(
        _ name: UnsafePointer<CChar>?, _ nameSize: Int, _ value: UnsafePointer<CChar>?,
        _ valueSize: Int
    ) -> Bool {
        guard all.count < Self.limit else {
            isCut = true
            return false
        }
        // SAFETY: the library's pointers are valid during the iteration, for the sizes it gives.
        func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
            unsafe UnsafeBufferPointer(
                start: UnsafeRawPointer(start)?.assumingMemoryBound(to: UInt8.self),
                count: start == nil ? 0 : count)
        }
        unsafe all.append(
            IncomingField(name: bytes(name, nameSize), value: bytes(value, valueSize)))
        return true
    }
}
