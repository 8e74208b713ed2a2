// SPDX-License-Identifier: Apache-2.0
// A pool of reusable buffers. A response borrows one until its last byte is sent.

import Foundation
import Outrider
import Synchronization

final class BufferPool: Sendable {
    /// A borrowed buffer; a reference type, so that its last user can return it.
    private final class Loan: Sendable {
        let bytes: Mutex<[UInt8]>
        init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }
    }

    private let spare = Mutex<[[UInt8]]>([])
    private let limit: Int
    private let capacity: Int
    private let reused: Counter
    private let made: Counter

    /// A pool that keeps at most `limit` buffers.
    init(name: String, limit: Int, capacity: Int) {
        self.limit = limit
        self.capacity = capacity
        let gets = Registry.shared.counter(
            "object_pool_gets_total", help: "Objects taken from a pool.",
            labels: ["pool", "result"])
        reused = gets.with(name, "reused")
        made = gets.with(name, "new")
    }

    /// The bytes that `fill` writes, without a copy; the buffer returns to the pool when they are
    /// released.
    func data(_ fill: (inout [UInt8]) -> Void) -> Data {
        var bytes = take()
        fill(&bytes)
        let count = bytes.count
        let loan = Loan(bytes)
        bytes = []
        // The array stays unchanged and alive until the deallocator runs.
        return loan.bytes.withLock { bytes in
            bytes.withUnsafeMutableBytes { memory in
                guard let address = memory.baseAddress else { return Data() }
                return Data(
                    bytesNoCopy: address, count: count,
                    deallocator: .custom { [self] _, _ in giveBack(loan) })
            }
        }
    }

    private func take() -> [UInt8] {
        if let bytes = spare.withLock({ $0.popLast() }) {
            reused.increment()
            return bytes
        }
        made.increment()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(capacity)
        return bytes
    }

    private func giveBack(_ loan: Loan) {
        var bytes = loan.bytes.withLock { bytes in
            let own = bytes
            bytes = []
            return own
        }
        bytes.removeAll(keepingCapacity: true)
        spare.withLock { spare in
            if spare.count < limit { spare.append(bytes) }
        }
    }
}
