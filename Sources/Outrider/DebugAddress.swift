// SPDX-License-Identifier: Apache-2.0
// Where an agent serves `/debug`, as code and the environment say it.

public import OutriderEndpoint

extension Agent {
    /// Where an agent serves `/debug` and the other pages for operators.
    ///
    /// With a token file, the main address serves them too, whatever this says: to requests with the token. So does a
    /// Unix socket without a token file, to the users that the mode of its file lets in.
    public struct DebugAddress: Hashable, Sendable {
        enum Kind: Hashable, Sendable {
            case at(ListenAddress)
            case shared
            case nowhere
        }

        let kind: Kind

        /// On a listener of their own, at this address.
        public static func at(_ address: ListenAddress) -> DebugAddress {
            DebugAddress(kind: .at(address))
        }

        /// On the main address, if that is a loopback address; `OUTRIDER_DEBUG_ADDRESS=shared`.
        ///
        /// A proxy on this machine that forwards requests to the main address then opens these pages to its clients,
        /// unless it adds a header field such as `X-Forwarded-For`.
        public static let shared = DebugAddress(kind: .shared)

        /// On no listener of their own, and not on a loopback main address; `OUTRIDER_DEBUG_ADDRESS=none`.
        public static let nowhere = DebugAddress(kind: .nowhere)

        init(kind: Kind) {
            self.kind = kind
        }

        /// Reads `shared`, `none`, or an address to listen on.
        init(_ text: String) throws(EndpointError) {
            switch text {
            case "shared": self = .shared
            case "none": self = .nowhere
            default: self = .at(try ListenAddress(text))
            }
        }

        /// The address beside a main address, where neither code nor the environment sets one.
        ///
        /// 127.0.0.1:9465 beside port 9464; beside any other port, one that the kernel chooses. Every fixed port could
        /// be one that the service itself, or the agent of the next service on this machine, wants to listen on later.
        package static func beside(_ main: ListenAddress) -> DebugAddress {
            let main = main.resolved
            if main.isSocketFile { return .nowhere }
            return .at(.loopback(port: main.port == 9464 ? 9465 : 0))
        }
    }
}
