// SPDX-License-Identifier: Apache-2.0
// The address of `/debug`, as set in code or in the environment.

public import OutriderEndpoint

extension Agent {
    /// Where an agent serves `/debug` and the other operator pages.
    ///
    /// With a token file, the main address also serves them, whatever this setting: to requests
    /// with the token. So does a Unix socket without a token file, to users whom its file mode
    /// admits.
    public struct DebugAddress: Hashable, Sendable {
        enum Kind: Hashable, Sendable {
            case at(ListenAddress)
            case shared
            case disabled
        }

        let kind: Kind

        /// On a separate listener at this address.
        public static func at(_ address: ListenAddress) -> DebugAddress {
            DebugAddress(kind: .at(address))
        }

        /// On the main address, if that is a loopback address; `OUTRIDER_DEBUG_ADDRESS=shared`.
        ///
        /// A proxy on this machine that forwards requests to the main address then exposes these
        /// pages to its clients, unless it adds a header field such as `X-Forwarded-For`.
        public static let shared = DebugAddress(kind: .shared)

        /// Without a separate listener, and not on a loopback main address;
        /// `OUTRIDER_DEBUG_ADDRESS=none`.
        public static let disabled = DebugAddress(kind: .disabled)

        init(kind: Kind) {
            self.kind = kind
        }

        /// Reads `shared`, `none`, or an address to listen on.
        init(_ text: String) throws(EndpointError) {
            switch text {
            case "shared": self = .shared
            case "none": self = .disabled
            default: self = .at(try ListenAddress(text))
            }
        }

        /// The default debug address, used if neither code nor the environment sets one.
        ///
        /// 127.0.0.1:9465 if the main port is 9464; for any other main port, a port chosen by the
        /// kernel. A fixed port could be one that the service itself, or the agent of another
        /// service on this machine, listens on later.
        package static func beside(_ main: ListenAddress) -> DebugAddress {
            let main = main.resolved
            if main.isSocketFile { return .disabled }
            return .at(.loopback(port: main.port == 9464 ? 9465 : 0))
        }
    }
}
