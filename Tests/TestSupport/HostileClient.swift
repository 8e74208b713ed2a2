// SPDX-License-Identifier: Apache-2.0
// Clients that do whatever a client can do to a server: a few hundred of their requests must leave
// nothing behind.

public import OutriderEndpoint
internal import OutriderThreading

/// A client with random behavior, which is the same for the same seed.
public struct HostileClient: Sendable {
    /// A complete request.
    public typealias Request = String

    private let address: ListenAddress
    private let requests: [Request]
    private var state: UInt64

    /// Creates a client of the server at `address` that chooses among `requests`.
    public init(_ address: ListenAddress, _ requests: [Request], seed: UInt64) {
        self.address = address
        self.requests = requests
        state = seed
    }

    /// Opens this many connections in sequence, and misbehaves on each.
    public mutating func run(_ connections: Int) {
        for _ in 0..<connections {
            // An action that a misbehaving client cannot complete is not a failure of the server.
            try? misbehave()
        }
    }

    /// Runs four clients concurrently, each with this many connections; returns whether they
    /// finished.
    public static func crowd(
        _ address: ListenAddress, _ requests: [Request], connections: Int
    ) -> Bool {
        let clients = (1...4 as ClosedRange<UInt64>).map { seed in
            let hasEnded = Latch()
            let hasStarted = DetachedThread.start {
                var client = HostileClient(address, requests, seed: seed)
                client.run(connections)
                hasEnded.open()
            }
            return hasStarted ? hasEnded : nil
        }
        // Each connection has time limits, whose seconds add up on a slow machine.
        return clients.allSatisfy { $0?.wait(for: .seconds(600)) ?? false }
    }

    private mutating func misbehave() throws {
        let connection = try Connection(address)
        let isAbrupt = below(2) == 0
        if isAbrupt { connection.hangUpAbruptly() }
        let request = requests[below(requests.count)]
        switch below(8) {
        case 0:
            try connection.send(request)
            _ = try connection.text(upTo: "\r\n\r\n", within: 2)
        case 1:
            let burst = (0...below(6)).map { _ in requests[below(requests.count)] }
            try connection.send(burst.joined())
            if below(2) == 0 { _ = try connection.text(upTo: "\r\n\r\n", within: 2) }
        case 2: try connection.send(String(request.prefix(below(request.count))))
        case 3: try connection.send(request)
        case 4:
            try connection.send(request)
            _ = try connection.text(upTo: " ", within: 2)
        case 5: try connection.send("\u{1}\u{2} no HTTP at all\r\n\r\n")
        case 6:
            try connection.send(request)
            connection.finishSending()
            connection.drain(within: 2)
        default:
            for letter in request.prefix(below(40)) { try connection.send(String(letter)) }
            try connection.send("\r\n\r\n")
            _ = try connection.text(upTo: "\n", within: 1)
        }
    }

    /// A random number below `bound` (SplitMix64).
    private mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)) % UInt64(max(1, bound)))
    }
}
