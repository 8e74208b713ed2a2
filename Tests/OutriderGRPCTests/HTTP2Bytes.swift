// SPDX-License-Identifier: Apache-2.0
// A client that sends raw HTTP/2 bytes, so that a test controls how its connection ends.

#if GRPC
    import OutriderEndpoint
    import TestSupport

    /// Bytes that a client sends.
    enum HTTP2Bytes {
        /// The start of a connection and of a call whose messages follow.
        ///
        /// Source: RFC 9113, sections 3.4, 4.1, 6.2 and 6.5; RFC 7541, section 6.2.2.
        static func call(_ path: String) -> [UInt8] {
            let fields = [
                (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
                ("te", "trailers"), ("content-type", "application/grpc"),
            ]
            var block: [UInt8] = []
            for (name, value) in fields { block += [0] + text(name) + text(value) }
            let (settings, headers): (UInt8, UInt8) = (4, 1)
            let endOfHeaders: UInt8 = 4
            return Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
                + frame(settings, flags: 0, stream: 0, [])
                + frame(headers, flags: endOfHeaders, stream: 1, block)
        }

        private static func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + text.utf8 }

        private static func frame(
            _ type: UInt8, flags: UInt8, stream: UInt8, _ payload: [UInt8]
        ) -> [UInt8] {
            [0, 0, UInt8(payload.count), type, flags, 0, 0, 0, stream] + payload
        }
    }

    /// A connection that stays open until `close()`.
    // Unchecked: one thread creates it, and one task closes it later.
    final class HeldConnection: @unchecked Sendable {
        private var connection: Connection?

        init(
            _ address: ListenAddress, isAbrupt: Bool, _ begin: (Connection) throws -> Void
        ) throws {
            let connection = try Connection(address)
            if isAbrupt { connection.hangUpAbruptly() }
            try begin(connection)
            self.connection = connection
        }

        func close() { connection = nil }
    }
#endif
