// SPDX-License-Identifier: Apache-2.0
// Takes the framing of chunks off a body (RFC 9112 §7.1).
//
// It was put on in this process a moment ago, so there are no extensions and no trailers. A body
// that does not begin like a chunk was never framed and passes as it is.

#if FlyingFox

    package import Foundation

    /// What is left of a chunked body without its framing; fed piece by piece, however it is cut.
    package struct ChunkFraming {
        /// The body is not framed as it began to be.
        package struct Malformed: Error {}

        private enum Place {
            /// In the line with the size of the next chunk.
            case size(Int, digits: Int, isLineEnding: Bool)
            /// So many bytes of a chunk are still to come.
            case payload(Int)
            /// So many bytes of the line end after a chunk are still to come.
            case lineEnd(Int)
            /// After the chunk of size zero.
            case end
            /// In a body without framing.
            case unframed
        }

        private var place = Place.size(0, digits: 0, isLineEnding: false)
        private var isFirst = true

        /// Before the first piece.
        package init() {}

        /// Whether the last chunk has come.
        package var isAtEnd: Bool {
            if case .end = place { true } else { false }
        }

        /// The payload in the next piece of the body; empty if there is none in it.
        package mutating func decode(_ piece: Data) throws(Malformed) -> Data {
            do throws(Malformed) {
                let payload = try strip(piece)
                isFirst = false
                return payload
            } catch {
                guard isFirst else { throw error }
                isFirst = false
                place = .unframed
                return piece
            }
        }

        private mutating func strip(_ piece: Data) throws(Malformed) -> Data {
            var payload = Data()
            var rest = piece[...]
            while let byte = rest.first {
                switch place {
                case .size(let size, let digits, let isLineEnding):
                    rest = rest.dropFirst()
                    place = try Self.afterSize(byte, size, digits, isLineEnding)
                case .payload(let left):
                    let part = rest.prefix(left)
                    // The usual case: the chunk is all there is, and nothing is copied.
                    payload = payload.isEmpty ? part : payload + part
                    rest = rest.dropFirst(part.count)
                    place = part.count == left ? .lineEnd(2) : .payload(left - part.count)
                case .lineEnd(let left):
                    guard byte == (left == 2 ? 0x0D : 0x0A) else { throw Malformed() }
                    rest = rest.dropFirst()
                    place =
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
        ) throws(Malformed) -> Place {
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
