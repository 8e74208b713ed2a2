// SPDX-License-Identifier: Apache-2.0
// What the bodies of all answers may take of memory, from the page to the last byte that is sent.

internal import OutriderThreading

/// The bytes of the bodies that are being sent; thread-safe.
package final class BodyBudget: Sendable {
    /// Answers of a few lines go out in any case: a refusal takes as much.
    private static let small = 64 << 10

    private struct State: Sendable {
        var bytes = 0
        /// How many answers send the same bytes, by where these are.
        var shares: [UInt: Int] = [:]
    }

    private let limit: Int
    private let state = Guarded(State())

    /// So many bytes at one time.
    package init(limit: Int) { self.limit = limit }

    /// Bytes that are kept for what is being sent now; what several answers share counts once.
    package var bytes: Int { state.withLock { $0.bytes } }

    /// Counts a body in; false if there is no room for it.
    ///
    /// Where nothing is being sent, there is room for a body of any size: it is there already.
    package func enter(_ body: [UInt8]) -> Bool {
        let place = Self.place(of: body)
        return state.withLock { state in
            if let shares = state.shares[place] {
                state.shares[place] = shares + 1
                return true
            }
            let isGranted =
                state.bytes == 0 || body.capacity <= Self.small
                || state.bytes + body.capacity <= limit
            guard isGranted else { return false }
            state.shares[place] = 1
            state.bytes += body.capacity
            return true
        }
    }

    /// Counts a body out that was counted in.
    package func leave(_ body: [UInt8]) {
        let place = Self.place(of: body)
        state.withLock { state in
            let shares = state.shares[place, default: 1] - 1
            state.shares[place] = shares > 0 ? shares : nil
            if shares <= 0 { state.bytes -= body.capacity }
        }
    }

    /// Where the bytes are: equal for arrays that share them.
    private static func place(of body: [UInt8]) -> UInt {
        // SAFETY: the address is compared, and nothing is read from it.
        unsafe body.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}
