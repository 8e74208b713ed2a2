// SPDX-License-Identifier: Apache-2.0
// Removes the chunk framing of a body (RFC 9112 §7.1).
//
// The framing was added in this process, so it has no extensions or trailers. A body that does not
// begin with a chunk was never framed and passes unchanged.

#if FlyingFox

    package import Foundation

    /// Decodes a chunked body, piece by piece; the pieces may be cut anywhere.
    package struct ChunkFraming {
        /// The body starts with valid framing and then breaks it.
        package struct Malformed: Error {}

        private enum Position {
            /// In the line with the size of the next chunk.
            case size(Int, digits: Int, isLineEnding: Bool)
            /// In a chunk's payload, with this many bytes left.
            case payload(Int)
            /// In the line end after a chunk, with this many bytes left.
            case lineEnd(Int)
            /// After the chunk of size zero.
            case end
            /// In a body without framing.
            case unframed
        }

        private var position = Position.size(0, digits: 0, isLineEnding: false)
        private var isFirst = true

        /// A decoder before the first piece.
        package init() {}

        /// Whether the last chunk has been decoded.
        package var isAtEnd: Bool {
            if case .end = position { true } else { false }
        }

        /// Returns the payload in the next piece of the body; may be empty.
        package mutating func decode(_ piece: Data) throws(Malformed) -> Data {
            do throws(Malformed) {
                let payload = try strip(piece)
                isFirst = false
                return payload
            } catch {
                guard isFirst else { throw error }
                isFirst = false
                position = .unframed
                return piece
            }
        }

        private mutating func strip(_ piece: Data) throws(Malformed) -> Data {
            var payload = Data()
            var rest = piece[...]
            while let byte = rest.first {
                switch position {
                case .size(let size, let digits, let isLineEnding):
                    rest = rest.dropFirst()
                    position = try Self.afterSize(byte, size, digits, isLineEnding)
                case .payload(let left):
                    let part = rest.prefix(left)
                    // The usual case: the payload is a single chunk, and is not copied.
                    payload = payload.isEmpty ? part : payload + part
                    rest = rest.dropFirst(part.count)
                    position = part.count == left ? .lineEnd(2) : .payload(left - part.count)
                case .lineEnd(let left):
                    guard byte == (left == 2 ? 0x0D : 0x0A) else { throw Malformed() }
                    rest = rest.dropFirst()
                    position =
                        left == 2
                        ? .lineEnd(1) : .size(0, digits: 0, isLineEnding: false)
                case .end:
                    return payload
                case .unframed:
                    return piece
                }
            }
            return payload
        }

        private static func afterSize(
            _ byte: UInt8, _ size: Int, _ digits: Int, _ isLineEnding: Bool
        ) throws(Malformed) -> Position {
            if isLineEnding {
                guard byte == 0x0A else { throw Malformed() }
                return size == 0 ? .end : .payload(size)
            }
            if byte == 0x0D, digits > 0 { return .size(size, digits: digits, isLineEnding: true) }
            // Fifteen digits are less than 2^60.
            guard digits < 15, let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
                throw Malformed()
            }
            return .size(size << 4 | digit, digits: digits + 1, isLineEnding: false)
        }
    }

#endif
