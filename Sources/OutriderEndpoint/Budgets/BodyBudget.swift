// SPDX-License-Identifier: Apache-2.0
// Memory budget of all response bodies, from the page to the last byte that is sent.
//
// A slow client keeps its response in memory for minutes. So one address gets at most half of the
// budget, and an address with no response under way gets one as long as the budget is not exceeded.

package import OutriderThreading

/// The bytes of the response bodies that are being sent; thread-safe.
package final class BodyBudget: Sendable {
    /// Bodies up to this size are always admitted; a refusal would take as much.
    private static let small = 64 << 10

    /// Bytes that one or more responses send.
    private struct Share: Sendable {
        /// The client of the first of these responses, which is charged for the bytes.
        let client: ClientAddress
        var responses: Int
    }

    private struct State: Sendable {
        var bytes = 0
        var ofClients: [ClientAddress: Int] = [:]
        /// By the address of the bytes.
        var shares: [UInt: Share] = [:]
    }

    private let limit: Int
    private let state = Guarded(State())

    /// A budget of this many bytes.
    package init(limit: Int) { self.limit = limit }

    /// Bytes of the bodies that are being sent; bytes that several responses share count once.
    package var bytes: Int { state.withLock { $0.bytes } }

    /// Whether the budget is exceeded, so that only small or shared bodies are admitted.
    package var isFull: Bool { state.withLock { $0.bytes > limit } }

    /// Counts a body in; false if it does not fit into the budget.
    ///
    /// When nothing is being sent, a body of any size is admitted: it is already in memory.
    package func enter(_ body: BodyBytes, for client: ClientAddress) -> Bool {
        let address = Self.address(of: body)
        return state.withLock { state in
            if let share = state.shares[address] {
                state.shares[address] = Share(client: share.client, responses: share.responses + 1)
                return true
            }
            guard isGranted(body.room, to: client, in: state) else { return false }
            state.shares[address] = Share(client: client, responses: 1)
            state.bytes += body.room
            state.ofClients[client, default: 0] += body.room
            return true
        }
    }

    /// Counts a body out that was counted in.
    package func leave(_ body: BodyBytes) {
        let address = Self.address(of: body)
        state.withLock { state in
            guard var share = state.shares[address] else { return }
            share.responses -= 1
            state.shares[address] = share.responses > 0 ? share : nil
            if share.responses > 0 { return }
            state.bytes -= body.room
            let left = state.ofClients[share.client, default: 0] - body.room
            state.ofClients[share.client] = left > 0 ? left : nil
        }
    }

    private func isGranted(_ size: Int, to client: ClientAddress, in state: State) -> Bool {
        if state.bytes == 0 || size <= Self.small { return true }
        guard client.isKnown else { return state.bytes + size <= limit }
        let own = state.ofClients[client] ?? 0
        if own == 0 { return state.bytes <= limit }
        return state.bytes + size <= limit && own + size <= limit / 2
    }

    /// The address of the bytes: equal for arrays that share storage.
    private static func address(of body: BodyBytes) -> UInt {
        // SAFETY: the address is compared, and nothing is read from it.
        unsafe body.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}
