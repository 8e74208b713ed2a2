// SPDX-License-Identifier: Apache-2.0
// The timeout that a client sends with each call.

#if GRPC
    package import GRPCCore

    extension Metadata {
        /// The `grpc-timeout`; nil if it is missing or malformed.
        ///
        /// Source: gRPC over HTTP/2, "Requests": up to eight digits and a unit.
        package var callTimeout: Duration? {
            for text in self[stringValues: "grpc-timeout"] { return Self.timeout(text) }
            return nil
        }

        package static func timeout(_ text: String) -> Duration? {
            guard (2...9).contains(text.utf8.count), let unit = text.utf8.last,
                text.utf8.dropLast().allSatisfy({ (0x30...0x39).contains($0) }),
                let count = Int64(text.dropLast())
            else { return nil }
            return switch unit {
            case UInt8(ascii: "H"): .seconds(count * 3_600)
            case UInt8(ascii: "M"): .seconds(count * 60)
            case UInt8(ascii: "S"): .seconds(count)
            case UInt8(ascii: "m"): .milliseconds(count)
            case UInt8(ascii: "u"): .microseconds(count)
            case UInt8(ascii: "n"): .nanoseconds(count)
            default: nil
            }
        }
    }
#endif
