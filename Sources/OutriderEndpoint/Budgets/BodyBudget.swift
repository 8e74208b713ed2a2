// SPDX-License-Identifier: Apache-2.0
// What the bodies of all answers may take of memory, from the page to the last byte that is sent.
//
// An address that reads slowly keeps what it was given for minutes. So it gets half of what there is at most, and one
// that has nothing under way gets an answer as long as there is not more under way than there may be.

package import OutriderThreading

/// The bytes of the bodies that are being sent; thread-safe.
package final class BodyBudget: Sendable {
    /// Answers of a few lines go out in any case: a refusal takes as much.
    private static let small = 64 << 10

    /// Bytes that one answer or several send.
    private struct Share: Sendable {
        /// Whose answer was the first; it counts as having them.
        let client: ClientAddress
        var answers: Int
    }

    private struct State: Sendable {
        var bytes = 0
        var ofClients: [ClientAddress: Int] = [:]
        /// By where the bytes are.
        var shares: [UInt: Share] = [:]
    }

    private let limit: Int
    private let state = Guarded(State())

    /// So many bytes at one time.
    package init(limit: Int) { self.limit = limit }

    /// Bytes that are kept for what is being sent now; what several answers share counts once.
    package var bytes: Int { state.withLock { $0.bytes } }

    /// Whether so much is under way that nobody's body is let in, unless it is small or shared.
    package var isFull: Bool { state.withLock { $0.bytes > limit } }

    /// Counts a body in; false if there is no room for it.
    ///
    /// Where nothing is being sent, there is room for a body of any size: it is there already.
    package func enter(_ body: BodyBytes, for client: ClientAddress) -> Bool {
        let place = Self.place(of: body)
        return state.withLock { state in
            if let share = state.shares[place] {
                state.shares[place] = Share(client: share.client, answers: share.answers + 1)
                return true
            }
            guard isGranted(body.room, to: client, in: state) else { return false }
            state.shares[place] = Share(client: client, answers: 1)
            state.bytes += body.room
            state.ofClients[client, default: 0] += body.room
            return true
        }
    }

    /// Counts a body out that was counted in.
    package func leave(_ body: BodyBytes) {
        let place = Self.place(of: body)
        state.withLock { state in
            guard var share = state.shares[place] else { return }
            share.answers -= 1
            state.shares[place] = share.answers > 0 ? share : nil
            if share.answers > 0 { return }
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

    /// Where the bytes are: equal for arrays that share them.
    private static func place(of body: BodyBytes) -> UInt {
        // SAFETY: the address is compared, and nothing is read from it.
        unsafe body.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}
