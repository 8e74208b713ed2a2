// SPDX-License-Identifier: Apache-2.0
// Allocations from any number of different deep stacks.

/// Calls itself through two functions, one for each value of a bit, so that each number has its own
/// stack.
enum DeepStacks {
    /// Calls of a stack, of two frames each.
    private static let calls = 30

    static func hold(_ count: Int, in sessions: inout [ShopSession]) {
        sessions.reserveCapacity(sessions.count + count)
        for number in 0..<count { sessions.append(next(number, calls)) }
    }

    @inline(never)
    private static func next(_ bits: Int, _ calls: Int) -> ShopSession {
        if calls == 0 { return ShopSession(bits) }
        return bits.isMultiple(of: 2) ? even(bits / 2, calls - 1) : odd(bits / 2, calls - 1)
    }

    @inline(never)
    private static func even(_ bits: Int, _ calls: Int) -> ShopSession { next(bits, calls) }

    @inline(never)
    private static func odd(_ bits: Int, _ calls: Int) -> ShopSession { next(bits, calls) }
}
